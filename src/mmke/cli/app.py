"""The commands put together, and how one command line is read and run.

In: the words of a command line. Out: the exit code. A mistake in the words is one line that begins with `mmke:`.
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.main import get_command

from mmke.cli.abilities import abilities
from mmke.cli.ask import ask
from mmke.cli.bench import bench
from mmke.cli.build import build
from mmke.cli.check import check
from mmke.cli.edit import edit
from mmke.cli.edits import edits
from mmke.cli.export import export
from mmke.cli.fetch import fetch
from mmke.cli.grid import grid
from mmke.cli.importing import import_
from mmke.cli.leaderboard import leaderboard
from mmke.cli.ls import ls
from mmke.cli.merge import merge
from mmke.cli.offer import with_offer
from mmke.cli.play import play
from mmke.cli.plot import plot
from mmke.cli.push import push
from mmke.cli.report import report
from mmke.cli.run import run
from mmke.cli.score import score
from mmke.cli.serve import serve
from mmke.cli.setup import setup
from mmke.cli.status import status
from mmke.cli.stream import stream
from mmke.cli.table import table
from mmke.cli.track import track
from mmke.cli.train import train
from mmke.cli.version import root
from mmke.cli.words import WORDS, check_none_empty, spelled_out
from mmke.errors import UserError, did_you_mean
from mmke.exits import exit_code

COMPLETING = "_MMKE_COMPLETE"
"""Set by the shell when it asks for completions."""

app = typer.Typer(
    help="Edit visual knowledge in multimodal models and measure what held.",
    epilog="`mmke run` alone edits a small real model on real pictures, on a laptop's CPU, in a few minutes.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    suggest_commands=True,
)
app.callback()(root)
app.command("ls", help="List what can be chosen.")(ls)
app.command("check")(check)
app.command("run")(run)
app.command("stream")(stream)
app.command("grid")(grid)
app.command("edit")(edit)
app.command("ask")(ask)
app.command("abilities")(abilities)
app.add_typer(edits, name="edits")
app.command("export")(export)
app.command("play")(play)
app.command("serve")(serve)
app.command("merge")(merge)
app.command("status")(status)
app.command("table")(table)
app.command("plot")(plot)
app.command("report")(report)
app.command("leaderboard")(leaderboard)
app.command("score")(score)
app.command("push")(push)
app.command("track")(track)
app.command("setup")(setup)
app.command("fetch")(fetch)
app.command("train")(train)
app.command("import")(import_)
app.command("bench")(bench)
app.add_typer(build, name="build")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    show_messages()
    words = sys.argv[1:] if argv is None else list(argv)
    if COMPLETING in os.environ:
        app(words, prog_name="mmke")
    WORDS.set(words)
    return exit_code(lambda: with_offer(lambda: _invoke(words)))


def parse(words: Sequence[str]) -> Mapping[str, Any]:
    """Read a command line without running it, and return its options by their long names without dashes.

    Raises:
        UserError: a mistake in it.
    """
    words = spelled_out(words)
    with _mistakes_told(), get_command(app).make_context("mmke", list(words)) as context:
        found: Any = context.command
        name: Any = "mmke"
        while hasattr(found, "commands"):  # a group, such as `mmke build`
            name, found, words = found.resolve_command(context, list(words))
        values = found.make_context(name, list(words), parent=context).params
        return {each.opts[-1].removeprefix("--"): values[each.name] for each in found.params if each.name in values}


def show_messages() -> None:
    """Let the console show our messages, and of other libraries' only warnings."""
    # Libraries tell the console at their own INFO what no user asked for.
    logging.basicConfig(format="mmke: %(message)s", level=logging.WARNING)
    logging.getLogger("mmke").setLevel(logging.INFO)


def _invoke(words: Sequence[str]) -> int:
    # Not through `app(…)`: it would end an interrupted command without a word.
    command = get_command(app)
    check_none_empty(words)
    try:
        with _mistakes_told(), command.make_context("mmke", spelled_out(words) or ["--help"]) as context:
            return int(command.invoke(context))
    except typer.Exit as ended:
        return ended.exit_code


@contextmanager
def _mistakes_told() -> Iterator[None]:
    """Turn what typer finds wrong with a command line into one line of ours."""
    try:
        yield
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = "mmke" if context is None else context.command_path
        raise UserError(f"{_told(error, context)} ({command} --help)") from error


def _told(error: typer.TyperException, context: Any) -> str:
    unknown = getattr(error, "option_name", None)
    if context is not None and unknown and hasattr(error, "possibilities"):
        if (context.info_name, unknown) == ("stream", "--limit"):
            return "unknown option --limit; a stream has --tests N in its place"
        known = [name for option in context.command.params for name in option.opts if name.startswith("-")]
        return f"unknown option {unknown}{did_you_mean(unknown, known)}"
    told = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    wrong = _wrong_value(error)
    if wrong is None or repr(wrong) in told:
        return told
    return f"{told.partition(', unable to parse')[0]}, not {wrong!r}"


def _wrong_value(error: typer.TyperException) -> str | None:
    """Return the text that is no value of its option, where typer's own message leaves it out."""
    found: list[Any] = getattr(error.__cause__, "errors", list)()  # of pydantic, which reads the values
    return next((each["input"] for each in found if isinstance(each.get("input"), str)), None)

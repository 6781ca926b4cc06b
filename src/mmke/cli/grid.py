"""`mmke grid`: many runs, and the trainings that they need, as one command.

In: a file, and options. Out: runs for `mmke.grid`, which does the work; here it is announced, watched and shown.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmke.cli import options
from mmke.cli.progress import progress
from mmke.cli.words import command_line
from mmke.errors import UserError
from mmke.threads import limit_threads

if TYPE_CHECKING:
    from mmke.grid.checks import Checked
    from mmke.grid.expand import Place, Run
    from mmke.grid.problems import Lacking
    from mmke.workers.settings import WorkerSettings

STOPPED = "nothing was run; solve these, choose a part with --only, or do what can be done with --keep-going"


def grid(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A grid's TOML file, or one that comes with mmke: published, mini."),
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="AXIS=VALUE",
            help="Only a part, such as backbone=llava-1.5-7b or editor=ike; can be repeated.",
            rich_help_panel=options.WHAT,
        ),
    ] = None,
    data: options.Data = None,
    out: options.Out = Path("results"),
    checkpoints: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Where trainings go: DIR/PROTOCOL/BACKBONE/BENCHMARKS/EDITOR.",
            callback=options.home,
            rich_help_panel=options.WHERE,
        ),
    ] = Path("checkpoints"),
    device: options.Device = "cpu",
    threads: options.Threads = None,
    workers: options.Workers = None,
    ray: options.Ray = None,
    cards_per_worker: options.CardsPerWorker = None,
    keep: options.Keep = None,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going", help="Do what can be done, and list at the end what cannot.", rich_help_panel=options.HOW
        ),
    ] = False,
    dry: Annotated[
        bool,
        typer.Option(
            "--dry",
            help="Show the cells, how far they are, what they will cost and what cannot be made, and stop.",
            rich_help_panel=options.WHERE,
        ),
    ] = False,
) -> int:
    """Run a grid: backbones x editors x benchmarks x hops x protocols x seeds, with the trainings that it needs.

    What is finished is passed over, so that the same command continues a grid that was stopped.
    """
    from mmke.cli.workers import laid_over, worker_settings
    from mmke.running.request import Request

    asked = Request("", None, (), device=device, out=out)
    settings = worker_settings(asked, workers, ray=ray, cards=cards_per_worker, threads=threads)
    limit_threads(threads)
    from mmke.grid.expand import Place, expand
    from mmke.grid.file import find, read
    from mmke.grid.only import narrowed

    whole = read(find(file))
    part = narrowed(whole, only or [])
    on = laid_over(asked, cards_per_worker).device
    place = Place(out, checkpoints, data, on, options.in_bytes(keep), settings.elsewhere)
    runs = expand(whole, part, place)
    limit_threads(threads)
    from transformers.utils import logging as library

    from mmke.grid.checks import check

    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    if dry:
        return _show(runs, place, workers or 1)
    with _each_once():
        checked = check(runs)
    if checked.problems and not keep_going:
        raise UserError(f"{_told(checked.problems)}\n{STOPPED}")
    return _carry_out(checked, settings, keep_going=keep_going, out=out)


def _show(runs: "list[Run]", place: "Place", workers: int) -> int:
    """Show what a grid comes to; exit code 1 where some of it cannot be made here."""
    from mmke.grid.checks import check
    from mmke.grid.done import read_done
    from mmke.grid.estimate import estimate
    from mmke.grid.measured import read
    from mmke.grid.shown import shown
    from mmke.grid.states import states

    measured, done = read(), read_done(place.out)
    with _each_once():
        found = states(runs, done, measured)
        cost = estimate(found, done, measured, device=place.device, workers=workers)
        print(shown(found, cost, on=place.device), flush=True)
        problems = check(runs).problems
    if problems:
        print(_told(problems))
    return 1 if problems else 0


def _carry_out(checked: "Checked", workers: "WorkerSettings", *, keep_going: bool, out: Path) -> int:
    from mmke.grid.work import announce_all, plans_of, run_all, train_all

    announce_all(checked)
    problems = list(checked.problems)
    if checked.trainings:
        total = sum(planned.records for planned in checked.trainings.values())
        print(f"{len(checked.trainings)} trainings come first", flush=True)
        with progress(total) as shown:
            problems += train_all(checked, workers, keep_going=keep_going, on_records=shown.reach)
    plans = plans_of(checked)
    with progress(sum(planned.records for planned in plans)) as shown:
        outcome = run_all(plans, workers, keep_going=keep_going, command=command_line(), on_record=shown.step)
    problems += outcome.problems
    print(f"{len(outcome.folders)} folders of results: {out}/  (mmke table {out})")
    if problems:
        print(_told(problems))
        return 1
    return 0


@contextmanager
def _each_once() -> Iterator[None]:
    """Within, a message that was shown is not shown again: many cells say the same."""
    seen: set[str] = set()

    def new(record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if text in seen:
            return False
        seen.add(text)
        return True

    handlers = logging.getLogger().handlers
    for handler in handlers:
        handler.addFilter(new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(new)


def _told(problems: "list[Lacking]") -> str:
    from mmke.grid.problems import listed

    return f"these cells cannot be made:\n{listed(problems)}"

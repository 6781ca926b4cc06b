"""The published command line of MMKE-Bench, translated into commands of `mmke`.

`--function_name=test_FT_LLaVA --hop=1 --data_type=entity` means a backbone, an editor and a benchmark, under the
published arithmetic; every option of `mmke run` may follow. Data are looked for in the current folder, weights in its
`hugging_cache`. What differs: a language model on a GPU runs in half precision (fine-tuned LLaVA was published in
float32: `--dtype float32`); `train_` trains first, and goes on where an earlier training stopped.
"""

import argparse
import logging
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmke import cli, registry
from mmke.errors import UserError, did_you_mean
from mmke.exits import exit_code

logger = logging.getLogger(__name__)

BACKBONES: Mapping[str, str] = {"MiniGPT4": "minigpt4-7b", "Blip2OPT": "blip2-opt-2.7b", "LLaVA": "llava-1.5-7b"}
"""Published names of models, and ours."""

ELSEWHERE: Mapping[str, str] = {"QwenVL": "Qwen-VL", "Owl2": "mPLUG-Owl2"}
"""Published models that have no backbone here, because they bring their own code."""

ALIGNMENTS: Mapping[str, str] = {
    "MiniGPT4": "Qformer",
    "Blip2OPT": "QFormer",
    "LLaVA": "mmproj",
    "QwenVL": "ViT",
    "Owl2": "ViT",
}
"""How the published names spell the part that FT-Alignment edits."""

HELPERS: Mapping[str, str] = {
    "Generate_Embedding_for_IKE": "nothing to generate: IKE embeds the training records when it runs (test_IKE_LLaVA)",
    "MMKE_print_result": "nothing to print: mmke table results (--published puts the paper's figures beside ours)",
    "VLKEB_print_result": "nothing to print: mmke table results",
}

KINDS = ("entity", "visual", "user")
RANDOM = "random_"
"""Before a kind of data: IKE takes demonstrations at random."""

DECIDED = ("--backbone", "--editor", "--benchmark")
"""What `mmke run` asks and the function's name answers."""

SHARED = ("protocol", "seed", "data", "device", "dtype", "threads", "weights", "settings")
"""Options of `mmke run` that `mmke train` knows as well; and `--set`."""


@dataclass(frozen=True)
class Function:
    """What a published function does."""

    editor: str
    model: str
    trains: bool = False


def functions() -> Mapping[str, Function]:
    """Return every published function that runs an editor, by its name."""
    return dict(_functions())


def _functions() -> Iterator[tuple[str, Function]]:
    for model, part in ALIGNMENTS.items():
        yield f"test_FT_{model}", Function("ft-llm", model)
        yield f"test_FT_{model}_{part}", Function("ft-alignment", model)
        yield f"test_IKE_{model}", Function("ike", model)
        for editor in ("MEND", "SERAC"):
            yield f"train_{editor}_{model}", Function(editor.lower(), model, trains=True)
            yield f"test_{editor}_{model}", Function(editor.lower(), model)


def main(argv: Sequence[str] | None = None, *, backbones: Mapping[str, str] = BACKBONES) -> int:
    """Run one published command and return its exit code."""
    cli.show_messages()
    arguments, further = _parser().parse_known_args(argv)
    return exit_code(lambda: _run(arguments, further, backbones))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="multimodal_edit.py",
        description="The published command line of MMKE-Bench. Every option of `mmke run` may follow.",
        epilog=f"functions: {', '.join([*functions(), *HELPERS])}",
        allow_abbrev=False,
    )
    parser.add_argument("--function_name", required=True, metavar="F", help="such as test_FT_LLaVA; see below")
    parser.add_argument("--hop", default="1", metavar="N", help="portability questions, 1 to 4 (default: 1)")
    parser.add_argument("--data_type", metavar="T", help=f"{', '.join(KINDS)}; for IKE also {RANDOM}entity and so on")
    return parser


def _run(arguments: argparse.Namespace, further: Sequence[str], backbones: Mapping[str, str]) -> int:
    if arguments.function_name in HELPERS:
        logger.info("%s: %s", arguments.function_name, HELPERS[arguments.function_name])
        return 0
    what = _what(arguments.function_name, arguments.data_type, backbones)
    asked = allowed(further, arguments.function_name)
    command = ["run", *what, "--hop", arguments.hop, *published_options(asked), *asked]
    commands = [command]
    if functions()[arguments.function_name].trains:
        commands.insert(0, _training(cli.parse(command)))
    return run_each(commands)


def published_options(given: Sequence[str]) -> list[str]:
    """Return the published protocol and the machine's GPU, where the user has not named others."""
    options = {word.partition("=")[0] for word in given}
    protocol = [] if "--protocol" in options else ["--protocol", "paper"]
    return [*protocol, *([] if "--device" in options else ["--device", _device()])]


def run_each(commands: Iterable[Sequence[str]]) -> int:
    """Run commands of `mmke` one after the other, up to the first that fails, and return the last one's exit code."""
    code = 0
    for each in commands:
        logger.info("the same in other words: mmke %s", shlex.join(each))
        code = cli.main(each)
        if code:
            break
    return code


def _training(run: Mapping[str, Any]) -> list[str]:
    """Return the training before a run, with the options that it shares with it."""
    (editor,), (benchmark,) = run["editor"], run["benchmark"]
    words = ["train", editor, "--backbone", run["backbone"], "--benchmark", benchmark]
    for option in SHARED:
        words += [] if run[option] is None else [f"--{option}", str(run[option])]
    for assignment in run["set"] or []:
        words += ["--set", assignment]
    return words


def _what(name: str, kind: str | None, backbones: Mapping[str, str]) -> list[str]:
    known = functions()
    if name not in known:
        raise UserError(f"unknown function {name!r}{did_you_mean(name, [*known, *HELPERS])} (--help lists them)")
    function, editor = known[name], known[name].editor
    if function.model in ELSEWHERE:
        raise UserError(
            f"{name}: {ELSEWHERE[function.model]} has no backbone here, because it needs code of its own; another "
            f"model of the library takes its place: mmke run --backbone hf:NAME --editor {editor}"
        )
    kinds = [*KINDS, *(RANDOM + each for each in KINDS if editor == "ike")]
    if kind not in kinds:
        given = "" if kind is None else f"unknown kind of data {kind!r}{did_you_mean(kind, kinds)}; "
        raise UserError(f"{name}: {given}give --data_type with one of {', '.join(kinds)}")
    if kind.startswith(RANDOM):
        editor, kind = "ike-random", kind.removeprefix(RANDOM)
    if editor not in registry.names("editors"):
        raise UserError(f"{name}: the editor {editor!r} is not there yet; there are {', '.join(_editors())}")
    return ["--backbone", backbones[function.model], "--editor", editor, "--benchmark", f"mmke-{kind}"]


def allowed(further: Sequence[str], name: str, *, decided: Sequence[str] = DECIDED) -> Sequence[str]:
    """Return further options.

    Raises:
        UserError: one is decided by the name already.
    """
    for word in further:
        if word.partition("=")[0] in decided:
            raise UserError(f"{word}: {name} names it already; to choose freely: mmke run (mmke run --help)")
    return further


def _editors() -> list[str]:
    return [name for name in registry.names("editors") if name != "none"]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"

"""The command line: what can be given, and which part does it. How a command ends is `exits.py`'s business."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmke import registry
from mmke.errors import UserError
from mmke.exits import exit_code
from mmke.types import PROTOCOLS

if TYPE_CHECKING:
    from mmke.backbones.weights.loading import WeightSource
    from mmke.running.run import Plan, Request
    from mmke_bench.bench import Order

QUICK_BENCHMARKS = ("mini-entity", "mini-visual", "mini-user")
QUICK_LIMIT = 6
FORMATS = ("text", "json", "csv", "latex", "markdown")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    show_messages()
    arguments = parse(sys.argv[1:] if argv is None else argv)
    return exit_code(lambda: arguments.command(arguments))


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read one command; a mistake in it ends the program with the usage."""
    return _parser().parse_args(words, argparse.Namespace(words=list(words)))


def show_messages() -> None:
    """Let the console show our messages, and of other libraries' only warnings."""
    # Libraries tell the console at their own INFO what no user asked for.
    logging.basicConfig(format="mmke: %(message)s", level=logging.WARNING)
    logging.getLogger("mmke").setLevel(logging.INFO)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmke",
        description="Edit visual knowledge in multimodal models and measure what held.",
        epilog="`mmke run` alone edits a small real model on real pictures, on a laptop's CPU, in a few minutes.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_ls(commands)
    _add_check(commands)
    _add_run(commands)
    _add_table(commands)
    _add_fetch(commands)
    _add_train(commands)
    _add_import(commands)
    _add_bench(commands)
    return parser


def _add_ls(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser("ls", help="list what can be chosen", description="List what can be chosen.")
    nouns = tuple(registry.BUILT_IN)
    command.add_argument("noun", nargs="?", choices=nouns, metavar="NOUN", help=f"one of {', '.join(nouns)}")
    command.set_defaults(command=_ls)


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "check",
        help="look for every problem of a benchmark's data",
        description="Look for every problem of a benchmark's data at once, and say what a run would use of it.",
    )
    command.add_argument("benchmark", help="a name (mmke ls benchmarks) or the path of your own JSON file")
    command.add_argument("--data", type=Path, help="folder with data_json/ and data_image/ (default: here)")
    command.add_argument("--hop", type=int, default=1, help="portability questions, 1 to 4; 0: none (default: 1)")
    command.set_defaults(command=_check)


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "run",
        help="edit, ask, score; without options the quick start",
        description=(
            "Edit each record, ask its probes before and after, and score them beside the unedited floor. Without "
            f"options: smol-llava, every editor that needs no training or has been trained, the first {QUICK_LIMIT} "
            "records of each mini benchmark. A run that was stopped continues with the same command."
        ),
    )
    what = command.add_argument_group("what is run")
    what.add_argument("--backbone", default="smol-llava", help="mmke ls backbones (default: smol-llava)")
    what.add_argument("--editor", action="append", metavar="E", help="repeatable; mmke ls editors (default: all)")
    what.add_argument(
        "--benchmark",
        action="append",
        metavar="D",
        help="repeatable; mmke ls benchmarks, or the path of your own JSON file (default: the three mini ones)",
    )
    what.add_argument("--hop", type=int, default=1, help="portability questions, 1 to 4; 0 for none (default: 1)")
    what.add_argument(
        "--limit",
        type=int,
        help=f"records of each benchmark, 0: all (default: 0; without --benchmark {QUICK_LIMIT})",
    )
    what.add_argument("--data", type=Path, metavar="DIR", help="folder with data_json/ and data_image/ (default: here)")
    how = command.add_argument_group("how")
    how.add_argument(
        "--protocol",
        choices=tuple(PROTOCOLS),
        default="strict",
        help="paper: the published arithmetic (default: strict)",
    )
    how.add_argument("--generate", action="store_true", help="also score free greedy decoding (exact match, token F1)")
    how.add_argument("--set", action="append", default=[], metavar="E.KEY=VALUE", help="one setting; repeatable")
    how.add_argument("--settings", type=Path, metavar="FILE", help="TOML file with one table per editor")
    how.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        metavar="E=PATH",
        help="of a trained editor; repeatable (default: checkpoints/, then those that come with mmke)",
    )
    how.add_argument("--seed", type=int, default=0, help="for whatever draws (default: 0)")
    where = command.add_argument_group("where")
    where.add_argument(
        "--out", type=Path, default=Path("results"), metavar="DIR", help="where results go (default: results)"
    )
    where.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: cpu)")
    where.add_argument(
        "--dtype",
        help="of the language model: float32, float16, bfloat16 (default: float32; full-size on a card: float16)",
    )
    where.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="where the backbone's weights lie (default: hugging_cache here, then the hub's cache)",
    )
    where.add_argument("--dry", action="store_true", help="resolve names, settings, data and edit sites, and stop")
    command.set_defaults(command=_run)


def _add_table(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "table", help="tables of results", description="Make tables of a results folder; loads no model."
    )
    command.add_argument("folder", type=Path, nargs="?", default=Path("results"), help="default: results")
    command.add_argument("--format", choices=FORMATS, default="text")
    command.add_argument("--by", metavar="TAG", help="break every figure down by a tag, such as rephrase_style")
    command.add_argument("--all", action="store_true", help="every metric, not only the published six")
    command.add_argument("--published", action="store_true", help="put the paper's figures beside ours")
    command.set_defaults(command=_table)


def _add_fetch(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "fetch",
        help="download data or weights",
        description="Download data or weights. What was cut off goes on where it stopped with the same command.",
    )
    command.add_argument(
        "name", help="mmke: the published benchmark; llava-1.5-7b, minigpt4-7b, blip2-opt-2.7b, hf:NAME: weights"
    )
    command.add_argument(
        "--to", type=Path, metavar="DIR", help="where to (default: data here, weights in hugging_cache)"
    )
    command.set_defaults(command=_fetch)


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "train",
        help="train an editor that needs it",
        description=(
            "Train an editor on the training records of one or more benchmarks, validate it on some that are held out, "
            "and keep the best and the last checkpoint where `mmke run` finds them. A training that was stopped "
            "continues with the same command. Several processes: accelerate launch -m mmke.cli train …"
        ),
    )
    command.add_argument("editor", help="mmke ls editors")
    command.add_argument("--backbone", default="smol-llava", help="mmke ls backbones (default: smol-llava)")
    command.add_argument(
        "--benchmark",
        action="append",
        metavar="D",
        help="repeatable, trained on together (default: the three mini ones)",
    )
    command.add_argument(
        "--protocol",
        choices=tuple(PROTOCOLS),
        default="strict",
        help="paper: validate on the evaluation records, as published (default: strict)",
    )
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; repeatable")
    command.add_argument("--settings", type=Path, metavar="FILE", help="TOML file with a table of the editor's name")
    command.add_argument("--seed", type=int, default=0, help="default: 0")
    command.add_argument("--data", type=Path, metavar="DIR", help="folder with data_json/ and data_image/")
    command.add_argument("--out", type=Path, default=Path("checkpoints"), metavar="DIR", help="default: checkpoints")
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: cpu)")
    command.add_argument("--dtype", help="of the language model (see mmke run)")
    command.add_argument("--weights", metavar="DIR", help="folder, or random (see mmke bench)")
    command.set_defaults(command=_train)


def _add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "import",
        help="bring in a trained checkpoint of the published code",
        description="Turn a checkpoint of the published code into one of ours; nothing pickled in it is run.",
    )
    command.add_argument("editor", help="mmke ls editors")
    command.add_argument("file", type=Path, help="such as a .pt of MEND or SERAC, or a .ckpt of KE")
    command.add_argument("--backbone", required=True, help="it was trained for; mmke ls backbones")
    command.add_argument("--benchmark", required=True, metavar="D", help="it was trained on, such as mmke-entity")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; repeatable")
    command.add_argument("--out", type=Path, default=Path("checkpoints"), metavar="DIR", help="default: checkpoints")
    command.add_argument("--weights", type=Path, metavar="DIR", help="where the backbone's weights lie (see mmke run)")
    command.set_defaults(command=_import)


def _add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "bench",
        help="speed and memory beside the plain loop",
        description=(
            "Time editors beside the plain loop (the whole model at every step, one question a pass, nothing kept) on "
            "the same records, and compare their rows. Weights may be random: time and memory do not depend on them."
        ),
    )
    command.add_argument("--backbone", default="smol-llava", help="mmke ls backbones (default: smol-llava)")
    command.add_argument("--editor", action="append", metavar="E", help="repeatable (default: none, ft-…, ike)")
    command.add_argument("--benchmark", action="append", metavar="D", help="repeatable (default: mini-entity)")
    command.add_argument("--records", type=int, default=3, help="of each benchmark (default: 3)")
    command.add_argument("--warm", type=int, default=1, help="records before those that count (default: 1)")
    command.add_argument(
        "--words", dest="answer_words", type=int, default=0, help="of each description (default: as they are)"
    )
    command.add_argument("--steps", type=int, default=3, help="of training, for editors that are trained (default: 3)")
    command.add_argument("--side", choices=("plain", "mmke"), help="this one alone")
    command.add_argument("--settings-of", metavar="B", help="backbone whose settings are taken (default: its own)")
    command.add_argument("--set", action="append", default=[], metavar="E.KEY=VALUE", help="one setting; repeatable")
    command.add_argument("--protocol", choices=tuple(PROTOCOLS), default="strict", help="default: strict")
    command.add_argument("--weights", help="folder, or random (default: hugging_cache here, then the hub's cache)")
    command.add_argument("--data", type=Path, metavar="DIR", help="folder with data_json/ and data_image/")
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: cpu)")
    command.add_argument("--dtype", help="of the language model, on our side and in the plain loop's unedited passes")
    command.add_argument("--memory", type=float, metavar="GIB", help="take no more of the card's memory than this")
    command.add_argument("--threads", type=int, default=1, help="of the processor (default: 1)")
    command.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="for the ratios (default: wall)")
    command.add_argument("--out", type=Path, metavar="FILE", help="write everything measured as JSON")
    command.set_defaults(command=_bench)


def _ls(arguments: argparse.Namespace) -> int:
    nouns = [arguments.noun] if arguments.noun else list(registry.BUILT_IN)
    for noun in nouns:
        open_names = {f"{prefix}NAME": where for prefix, where in registry.PREFIXES.get(noun, {}).items()}
        names = {**registry.names(noun), **open_names}
        if len(nouns) > 1:
            print(f"{noun}: {' '.join(names)}")
            continue
        width = max(map(len, names))
        for name, where in names.items():
            print(f"{name:<{width}}  {registry.summary(where)}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from mmke.benchmarks.check import check
    from mmke.benchmarks.open import open_benchmark

    report = check(open_benchmark(arguments.benchmark, data=arguments.data), hop=arguments.hop)
    print(report.text())
    return 0 if report.passed else 2


def _run(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm
    from transformers.utils import logging as library

    from mmke.running.run import plan, run

    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    planned = plan(_request(arguments))
    _announce(planned)
    if arguments.dry:
        return _dry(planned)
    with tqdm(total=planned.records, unit="record", disable=None, smoothing=0.05) as bar:
        folders = run(planned, command=["mmke", *arguments.words], on_record=bar.update)
    _show(planned, folders)
    return 0


def _request(arguments: argparse.Namespace) -> "Request":
    from mmke.editing.settings import read_changes
    from mmke.running.run import Request

    quick = arguments.benchmark is None
    _check_data(arguments)
    limit = arguments.limit if arguments.limit is not None else (QUICK_LIMIT if quick else 0)
    return Request(
        backbone=arguments.backbone,
        editors=tuple(arguments.editor) if arguments.editor else None,
        benchmarks=tuple(arguments.benchmark or QUICK_BENCHMARKS),
        hop=arguments.hop,
        limit=limit,
        protocol=arguments.protocol,
        generate=arguments.generate,
        changes=read_changes(arguments.set, arguments.settings),
        checkpoints=_checkpoints(arguments.checkpoint),
        data=arguments.data,
        out=arguments.out,
        device=arguments.device,
        dtype=arguments.dtype,
        weights=arguments.weights,
        seed=arguments.seed,
    )


def _checkpoints(assignments: Sequence[str]) -> dict[str, Path]:
    given = {}
    for assignment in assignments:
        editor, equals, path = assignment.partition("=")
        if not equals or not path:
            raise UserError(f"--checkpoint {assignment!r} is not of the form EDITOR=PATH, such as mend=my.safetensors")
        registry.import_string("editors", editor)
        given[editor] = Path(path)
    return given


def _check_data(arguments: argparse.Namespace) -> None:
    if arguments.benchmark is None and arguments.data is not None:
        raise UserError(
            f"--data {arguments.data}: the mini benchmarks bring their own data; name what it holds, such as "
            "--benchmark mmke-entity"
        )


def _announce(planned: "Plan") -> None:
    """Say what is about to be done, with the number of records used and dropped."""
    request = planned.request
    editors = dict.fromkeys(cell.editor.name for cell in planned.cells)
    precision = request.dtype or "its own precision"
    print(f"{request.backbone} on {request.device}, {precision}, protocol {request.protocol}, hop {request.hop}")
    print(f"editors: {', '.join(editors)} (none is the floor)")
    for cell in {cell.benchmark.name: cell for cell in planned.cells}.values():
        print(f"{cell.benchmark.name}: {cell.text()}", flush=True)


def _dry(planned: "Plan") -> int:
    from mmke.running.run import check_sites

    check_sites(planned)
    print("names, settings, data, weights and edit sites resolve; nothing was run")
    return 0


def _show(planned: "Plan", folders: Sequence[Path]) -> None:
    from mmke.report.cells import read_cells
    from mmke.report.table import render

    request = planned.request
    print(render(read_cells(request.out, only=folders), "text"))
    print(f"\nrows, settings and timings: {request.out}/  (mmke table {request.out})")
    if any(cell.limited for cell in planned.cells):
        print("These are the first records of each benchmark; all of them: the same command with --limit 0")


def _table(arguments: argparse.Namespace) -> int:
    from mmke.report.cells import read_cells
    from mmke.report.table import render

    cells = read_cells(arguments.folder, by=arguments.by)
    print(render(cells, arguments.format, published=arguments.published, every_metric=arguments.all))
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from mmke.fetching import fetch

    print(f"complete: {fetch(arguments.name, arguments.to)}")
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm
    from transformers.utils import logging as library

    from mmke.training.train import TrainRequest, expected, plan, reached, train

    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    name = arguments.editor
    request = TrainRequest(
        editor=name,
        backbone=arguments.backbone,
        benchmarks=tuple(arguments.benchmark or QUICK_BENCHMARKS),
        protocol=arguments.protocol,
        changes=_changes(name, arguments.set, arguments.settings),
        data=arguments.data,
        out=arguments.out,
        device=arguments.device,
        dtype=arguments.dtype,
        weights=_weights(arguments.weights),
        seed=arguments.seed,
    )
    planned = plan(request)
    speaks, folder = planned.processes.first, planned.folder
    if speaks:
        learn, validate = len(planned.cases), len(planned.held)
        print(f"{name} on {request.backbone}: {learn} records to train on, {validate} to validate with")
    silent = None if speaks else True  # None: unless somebody looks at a terminal
    with tqdm(total=expected(planned), initial=reached(planned), unit="record", disable=silent) as bar:
        best = train(planned, on_step=lambda records: bar.update(records - bar.n))
    if speaks:
        print(f"best: {best}\ncurves: {folder}/curves.jsonl, and for TensorBoard {folder}/tensorboard")
    return 0


def _weights(named: str | None) -> "WeightSource":
    """Return where weights come from: a folder, at random, or the usual places."""
    if named == "random":
        return "random"
    return None if named is None else Path(named)


def _changes(editor: str, assignments: Sequence[str], file: Path | None) -> Mapping[str, Any]:
    """Return the changes of one editor's settings, which need not be named in front of the key."""
    from mmke.editing.settings import read_changes

    named = [each if each.partition("=")[0].startswith(f"{editor}.") else f"{editor}.{each}" for each in assignments]
    return read_changes(named, file).get(editor, {})


def _import(arguments: argparse.Namespace) -> int:
    from mmke.training.importing import ImportRequest, import_checkpoint

    request = ImportRequest(
        arguments.editor,
        arguments.file,
        arguments.backbone,
        arguments.benchmark,
        changes=_changes(arguments.editor, arguments.set, None),
        out=arguments.out,
        weights=arguments.weights,
    )
    path = import_checkpoint(request)
    print(f"written: {path} ({path.stat().st_size / 1e6:,.0f} MB)")
    return 0


def _bench(arguments: argparse.Namespace) -> int:
    import json

    import torch
    from transformers.utils import logging as library

    from mmke_bench.bench import facts, measure
    from mmke_bench.show import lines

    library.disable_progress_bar()  # type: ignore[no-untyped-call]
    order, measured = _bench_order(arguments), []
    torch.set_num_threads(arguments.threads)
    for each in measure(order, tell=logging.getLogger("mmke").info):
        measured.append(each.data())
        print("\n".join(lines(each, arguments.clock)), end="\n\n", flush=True)
        if arguments.out is not None:
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            carried = facts(order, ["mmke", *arguments.words])
            text = json.dumps({**carried, "measured": measured}, indent=1)
            arguments.out.write_text(text + "\n", encoding="utf-8")
    return 0


def _bench_order(arguments: argparse.Namespace) -> "Order":
    from mmke.editing.settings import read_changes
    from mmke.running.run import Request
    from mmke_bench.bench import Order

    _check_data(arguments)
    if arguments.threads < 1:
        raise UserError(f"--threads {arguments.threads}: give a number from 1 up")
    if arguments.out is not None and arguments.out.is_dir():
        raise UserError(f"--out {arguments.out} is a folder; name a file in it")
    request = Request(
        backbone=arguments.backbone,
        editors=tuple(arguments.editor or ("none", "ft-llm", "ft-alignment", "ike")),
        benchmarks=tuple(arguments.benchmark or ("mini-entity",)),
        protocol=arguments.protocol,
        changes=read_changes(arguments.set, None),
        data=arguments.data,
        # Where nothing is written to, nothing has to be writable.
        out=Path(tempfile.gettempdir()) if arguments.out is None else arguments.out.parent,
        device=arguments.device,
        dtype=arguments.dtype,
        weights=_weights(arguments.weights),
    )
    return Order(
        request,
        records=arguments.records,
        warm=arguments.warm,
        words=arguments.answer_words,
        steps=arguments.steps,
        sides=("plain", "mmke") if arguments.side is None else (arguments.side,),
        settings_of=arguments.settings_of,
        gib=arguments.memory,
    )


if __name__ == "__main__":
    sys.exit(main())

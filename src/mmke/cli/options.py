"""The options that several commands share, each declared once: its name, its type, its help and its panel."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mmke import registry
from mmke.errors import UserError
from mmke.results.shard import parse_shard

QUICK_BENCHMARKS = ("mini-entity", "mini-visual", "mini-user")

ProtocolName = Literal["strict", "paper"]
ProbesName = Literal["published", "hard", "all"]
PartnersName = Literal["eval", "train"]
DtypeName = Literal["float32", "float16", "bfloat16"]
RANDOM: Literal["random"] = "random"

OWN_DATA = (
    "--data {data}: the mini benchmarks bring their own data; name what it holds, such as --benchmark mmke-entity"
)

WHAT, HOW, WHERE = "What", "How", "Where"
"""The panels of the help."""

HF = "hf:"


def names(noun: registry.Noun) -> Callable[[str], Iterable[str]]:
    """Return what completes a name of the registry."""

    def complete(incomplete: str) -> Iterable[str]:
        return [name for name in registry.names(noun) if name.startswith(incomplete)]

    return complete


def home(path: Path | None) -> Path | None:
    """Put the user's home folder in the place of `~`, which the shell leaves in `--data=~/x`."""
    return None if path is None else expanded(path)


def expanded(path: Path) -> Path:
    """Return a path with the home folder in the place of `~`.

    Raises:
        UserError: `~name` names nobody.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: there is no such user; write the folder's whole path") from error


def expanded_name(name: str) -> str:
    """Expand `~` in what is a name or a path: of a benchmark, or of a backbone behind `hf:`."""
    prefix = HF if name.startswith(HF) else ""
    rest = name.removeprefix(prefix)
    return prefix + str(expanded(Path(rest))) if rest.startswith("~") else name


def number(option: str, least: int, most: int | None = None) -> Callable[[int | None], int | None]:
    """Return what refuses an option's numbers outside a range."""
    wanted = f"from {least} up" if most is None else f"from {least} to {most}"

    def check(value: int | None) -> int | None:
        if value is not None and (value < least or (most is not None and value > most)):
            raise UserError(f"{option} {value}: give a number {wanted}")
        return value

    return check


def known(noun: registry.Noun) -> Callable[[str | None], str | None]:
    """Return what refuses a name that is not in the registry, before anything large is imported."""

    def check(name: str | None) -> str | None:
        if name is None:
            return None
        name = expanded_name(name)
        registry.import_string(noun, name)
        return name

    return check


def _editors(names: list[str] | None) -> list[str] | None:
    for name in names or []:
        registry.import_string("editors", name)
    return names


def _metrics(names: list[str] | None) -> list[str] | None:
    for name in names or []:
        registry.import_string("metrics", name)
    return names


def _benchmarks(names: list[str] | None) -> list[str] | None:
    return None if names is None else [expanded_name(name) for name in names]


def _weights_folder(folder: Path | None) -> Path | None:
    found = home(folder)
    if found is not None and not found.is_dir():
        raise UserError(f"--weights {found}: there is no such folder (looked for {found.absolute()})")
    return found


def _weights(named: str | None) -> str | None:
    return named if named in (None, RANDOM) else str(_weights_folder(Path(named)))


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?(,cuda:\d+)*", name):
        raise UserError(f"--device {name}: give cpu, cuda or cuda:1, or several GPUs: cuda:0,cuda:1")
    return name


def _shard(text: str | None) -> str | None:
    if text is not None:
        parse_shard(text)
    return text


def _seed(seed: int) -> int:
    if not -(2**63) <= seed < 2**64:
        raise UserError(f"--seed {seed}: give a whole number of at most 64 bits")
    return seed


def _keep(gib: float | None) -> float | None:
    if gib is not None and not 0 <= gib < math.inf:
        raise UserError(f"--keep {gib:g}: give a number of GiB from 0 up")
    return gib


def _cards(cards: float | None) -> float | None:
    if cards is not None:
        from mmke.workers.cards import check_cards

        check_cards(cards)
    return cards


BackboneName = Annotated[
    str,
    typer.Option(
        metavar="B",
        help="A name (mmke ls backbones), or hf: and a model's name or folder.",
        autocompletion=names("backbones"),
        callback=known("backbones"),
        rich_help_panel=WHAT,
    ),
]
Asked = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="B",
        help="Also look for what this model cannot be asked.",
        autocompletion=names("backbones"),
        callback=known("backbones"),
        rich_help_panel=WHAT,
    ),
]
EditorArgument = Annotated[
    str,
    typer.Argument(
        metavar="EDITOR", help="A name (mmke ls editors).", autocompletion=names("editors"), callback=known("editors")
    ),
]
EditorArguments = Annotated[
    list[str],
    typer.Argument(
        metavar="EDITOR",
        help="Names (mmke ls editors): a training for each.",
        autocompletion=names("editors"),
        callback=_editors,
    ),
]
Editors = Annotated[
    list[str] | None,
    typer.Option(
        "--editor",
        metavar="E",
        help="A name (mmke ls editors); can be repeated.",
        autocompletion=names("editors"),
        callback=_editors,
        rich_help_panel=WHAT,
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="M",
        help="What is scored: a name (mmke ls metrics); can be repeated (default: all that come with mmke).",
        autocompletion=names("metrics"),
        callback=_metrics,
        rich_help_panel=HOW,
    ),
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark",
        metavar="D",
        help="A name (mmke ls benchmarks), or the path of your own JSON file; can be repeated.",
        autocompletion=names("benchmarks"),
        callback=_benchmarks,
        rich_help_panel=WHAT,
    ),
]
Hop = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Portability questions of this many hops, 1 to 4; 0: none.",
        callback=number("--hop", 0, 4),
        rich_help_panel=WHAT,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder with data_json/ and data_image/ (default: the current folder).",
        callback=home,
        rich_help_panel=WHAT,
    ),
]
Protocol = Annotated[
    ProtocolName,
    typer.Option(help="paper: the published arithmetic.", case_sensitive=False, rich_help_panel=HOW),
]
Probes = Annotated[
    ProbesName | None,
    typer.Option(
        help="hard: questions that look like the edit's, and whose answers should not change (default: published).",
        case_sensitive=False,
        rich_help_panel=WHAT,
    ),
]
Partners = Annotated[
    PartnersName | None,
    typer.Option(
        help="The records that hard probes compare with: evaluation (default) or training records.",
        case_sensitive=False,
        rich_help_panel=WHAT,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="E.KEY=VALUE", help="One setting of an editor; can be repeated.", rich_help_panel=HOW
    ),
]
OwnSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting; can be repeated.", rich_help_panel=HOW),
]
Generate = Annotated[
    bool,
    typer.Option(
        "--generate", help="Also score what the model writes by itself (exact match, token F1).", rich_help_panel=HOW
    ),
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint",
        metavar="E=PATH",
        help="Of a trained editor; can be repeated (default: checkpoints/, then those that come with mmke).",
        rich_help_panel=HOW,
    ),
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Where results go.", callback=home, rich_help_panel=WHERE)]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do only part I of N, for job arrays; each part into an --out of its own, put together by mmke merge.",
        callback=_shard,
        rich_help_panel=WHERE,
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        metavar="TRACKER",
        help="Send the figures there at the end: a name (mmke ls trackers); later: mmke track.",
        autocompletion=names("trackers"),
        callback=known("trackers"),
        rich_help_panel=WHERE,
    ),
]
Dry = Annotated[
    bool,
    typer.Option("--dry", help="Resolve names, settings, data and edit sites, and stop.", rich_help_panel=WHERE),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", metavar="FILE", help="TOML file with one table per editor.", callback=home, rich_help_panel=HOW
    ),
]
Seed = Annotated[int, typer.Option(help="For everything that is drawn at random.", callback=_seed, rich_help_panel=HOW)]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="cpu, cuda, cuda:1; cuda:0,cuda:1: a model that needs two GPUs.",
        callback=_device,
        rich_help_panel=WHERE,
    ),
]
Dtype = Annotated[
    DtypeName | None,
    typer.Option(
        help="Precision of the language model (default: float32; full-size models on a GPU: float16).",
        case_sensitive=False,
        rich_help_panel=WHERE,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Threads of the processor (default: 1; with --device cuda, what PyTorch takes).",
        callback=number("--threads", 1),
        rich_help_panel=WHERE,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        envvar="MMKE_WORKERS",
        help="Processes that do the work side by side, with the same rows (default: on a processor as many as there "
        "are cores and memory for; on GPUs 1).",
        callback=number("--workers", 1),
        rich_help_panel=WHERE,
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[ADDRESS]",
        help="Work on the Ray cluster behind this address (auto: the one that this machine is part of); without one, "
        "on all GPUs or cores of this machine.",
        rich_help_panel=WHERE,
    ),
]
CardsPerWorker = Annotated[
    float | None,
    typer.Option(
        metavar="F",
        help="GPUs of each worker: 2 where a model needs two, 0.5 where two workers share one (default: 1).",
        callback=_cards,
        rich_help_panel=WHERE,
    ),
]
WeightsFolder = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="DIR",
        help="Folder with the backbone's weights (default: hugging_cache here, then the hub's cache).",
        callback=_weights_folder,
        rich_help_panel=WHERE,
    ),
]
Keep = Annotated[
    float | None,
    typer.Option(
        metavar="GIB",
        help="Most that is taken of the disk, while it runs, for results that memory has no room for and that would be "
        "computed again; 0: none (default: 32, and at most half of what is free).",
        callback=_keep,
        rich_help_panel=WHERE,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder with the backbone's weights, or random (default: hugging_cache here, then the hub's cache).",
        callback=_weights,
        rich_help_panel=WHERE,
    ),
]
EditFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--edit",
        metavar="FOLDER",
        help="An edit that was saved; several stand on top of each other.",
        callback=lambda folders: [expanded(each) for each in folders or []],
        rich_help_panel=WHAT,
    ),
]
NewEdit = Annotated[
    Path,
    typer.Option("--out", metavar="FOLDER", help="The new folder of the edit.", callback=home, rich_help_panel=WHERE),
]
Embed = Annotated[
    bool,
    typer.Option(
        "--embed",
        help="Put the pictures of all edits into the folder, and not only those that the editor needs to answer.",
        rich_help_panel=WHERE,
    ),
]
PicturesFolder = Annotated[
    Path | None,
    typer.Option(
        "--pictures",
        metavar="DIR",
        help="Folder with the pictures of edits that are not embedded; they are found by their digests.",
        callback=home,
        rich_help_panel=WHERE,
    ),
]
EditCheckpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        metavar="PATH",
        help="The networks that the edit was made with (default: checkpoints/, then those that come with mmke).",
        callback=home,
        rich_help_panel=HOW,
    ),
]
EditBackbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        metavar="B",
        help="The edited model, where its folder is another one here (default: as when the edit was made).",
        callback=known("backbones"),
        rich_help_panel=WHERE,
    ),
]


def edits_file(panel: str) -> Any:
    """Return the option of edits that are to be made."""
    return typer.Option(
        "--edits",
        metavar="FILE",
        help='A JSON list of {"query", "target", "image"}, or what --benchmark of mmke run takes.',
        callback=lambda name: name and expanded_name(name),
        rich_help_panel=panel,
    )


def one_editor(panel: str) -> Any:
    """Return the option of the editor that makes them."""
    return typer.Option(
        "--editor",
        metavar="E",
        help="A name (mmke ls editors).",
        autocompletion=names("editors"),
        callback=known("editors"),
        rich_help_panel=panel,
    )


def first_edits(panel: str) -> Any:
    """Return the option of how many of them are made."""
    return typer.Option(
        "--limit",
        metavar="N",
        help="The first edits, or records; 0: all.",
        callback=number("--limit", 0),
        rich_help_panel=panel,
    )


def port(told: str, panel: str | None = None) -> Any:
    """Return the option of a port; `told` is its help."""
    return typer.Option("--port", metavar="N", help=told, callback=number("--port", 0, 65_535), rich_help_panel=panel)


def host(what: str, panel: str | None = None) -> Any:
    """Return the option of an address; `what` is served there."""
    return typer.Option(
        "--host",
        metavar="HOST",
        help=f"Where {what} is served. Other machines reach it only where this is not 127.0.0.1.",
        rich_help_panel=panel,
    )


def without_bars() -> None:
    """Keep the library from showing how far it has read weights: ours are read in a moment."""
    from transformers.utils import logging as library

    library.disable_progress_bar()  # type: ignore[no-untyped-call]


def in_bytes(gib: float | None) -> int | None:
    """Return GiB in bytes."""
    return None if gib is None else int(gib * 2**30)


def weight_source(named: str | None) -> Path | Literal["random"] | None:
    """Return where weights come from: a folder, at random, or the usual places."""
    if named == RANDOM:
        return RANDOM
    return None if named is None else Path(named)


def check_data(benchmarks: Sequence[str], data: Path | None) -> None:
    """Open each benchmark, so that missing files are told before PyTorch is loaded.

    Raises:
        UserError: an unknown name, or missing files.
    """
    from mmke.benchmarks.open import open_benchmark

    for name in benchmarks:
        open_benchmark(name, data=data)

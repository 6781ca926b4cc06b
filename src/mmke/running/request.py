"""What the user asks a run to do: a `Request`, and the checks of it that need neither torch nor data.

These checks come first, so that a mistake is told at once.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmke import registry
from mmke.abilities.suites import Wanted
from mmke.errors import UserError
from mmke.results.shard import Shard
from mmke.running.stream_settings import StreamSettings, check_stream
from mmke.types import PROTOCOLS, Switches, WeightSource

PROBES = ("published", "hard", "all")
PARTNERS = ("eval", "train")

FLOOR = "none"
"""The editor that edits nothing; it is run before all others, whether it was asked for or not."""


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        backbone: name.
        editors: names; the floor is run whether it is among them or not. None: every editor that can be made.
        benchmarks: names, or paths of the user's own files.
        hop: portability questions of this many hops; 0 for none.
        limit: records of each benchmark; 0 for all. No setting: a larger one continues the run.
        protocol: "strict" or "paper".
        metrics: registered names of what is scored; none: the package's own.
        probes: "published", "hard" (hard locality alone) or "all".
        partners: whether the partners of hard locality are evaluation ("eval") or training records ("train").
        generate: where no metrics are named, also score what the model writes by itself.
        changes: editor settings by editor and key, laid over the shipped ones.
        checkpoints: of trained editors, by name; for others the usual places are looked at.
        untrained: make trained editors without a checkpoint; the caller lays out their networks.
        data: folder of benchmarks that are not embedded.
        out: where results go.
        device: "cpu", "cuda", "cuda:1", or several GPUs for one model: "cuda:0,cuda:1".
        elsewhere: other machines compute, so that this one needs no such device.
        dtype: of the backbone's language model; None: as the backbone was published for the device.
        weights: folder with the backbone's weights, or "random"; None: the usual places.
        seed: for whatever draws.
        on_disk: bytes of the disk that are taken at most, while it runs, for what memory has no room for; None: by
            what is free.
        stream: edit the records one on top of the other; None: each alone.
        order_seeds: of a stream's order; each is a stream of its own.
        shard: do only this part of the run; None: the whole.
        abilities: what is asked at a stream's checkpoints besides its records; None: nothing.
    """

    backbone: str
    editors: tuple[str, ...] | None
    benchmarks: tuple[str, ...]
    hop: int = 1
    limit: int = 0
    protocol: str = "strict"
    metrics: tuple[str, ...] = ()
    probes: str = "published"
    partners: str = "eval"
    generate: bool = False
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    untrained: bool = False
    data: Path | None = None
    out: Path = Path("results")
    device: str = "cpu"
    elsewhere: bool = False
    dtype: str | None = None
    weights: WeightSource = None
    seed: int = 0
    on_disk: int | None = None
    stream: StreamSettings | None = None
    order_seeds: tuple[int, ...] = (0,)
    shard: Shard | None = None
    abilities: Wanted | None = None

    def editor_names(self) -> list[str]:
        """Return the names of the editors in the order in which they are run, the floor first."""
        return list(dict.fromkeys([FLOOR, *(self.editors or registry.names("editors"))]))


def check_request(request: Request) -> None:
    """Resolve names and look at plain values.

    Raises:
        UserError: an unknown name, a number out of range, settings or a checkpoint of an editor that is not run, a
            results folder that cannot be written to.
    """
    registry.import_string("backbones", request.backbone)
    resolve_protocol(request.protocol)
    if request.limit < 0:
        raise UserError(f"--limit {request.limit}: give a number of records, or 0 for all")
    for option, value, names in (
        ("--probes", request.probes, PROBES),
        ("--partners", request.partners, PARTNERS),
    ):
        if value not in names:
            raise UserError(f"{option} {value}: give one of {', '.join(names)}")
    for seed in (request.seed, *request.order_seeds):
        check_seed(seed)
    if request.stream is not None:
        check_stream(request.stream)
        _check_records_and_orders(request, request.stream)
    check_abilities(request)
    check_writable(request.out)
    editors = request.editor_names()
    for name in request.editors or ():
        registry.import_string("editors", name)
    for name in request.metrics:
        registry.import_string("metrics", name)
    for what, named in (("settings", request.changes), ("a checkpoint", request.checkpoints)):
        stray = sorted(set(named) - set(editors))
        if stray:
            raise UserError(f"{what} for {stray[0]!r}, which this run does not use; it uses {', '.join(editors)}")


def check_abilities(request: Request) -> None:
    """Refuse to ask abilities where there is no checkpoint.

    Raises:
        UserError: the message says what to add.
    """
    if request.abilities is None:
        return
    if request.stream is None:
        raise UserError("abilities are asked at the checkpoints of a stream, and this request is none: give it stream=")
    moments = request.stream.moments
    if not (moments.at or moments.end):
        raise UserError(
            f"--abilities: these are asked at checkpoints, and --score {request.stream.score} has none; add end, or "
            "at: and numbers of edits"
        )


def _check_records_and_orders(request: Request, stream: StreamSettings) -> None:
    """Refuse what would make two streams of one name, or none at all."""
    if request.limit:
        raise UserError(f"limit={request.limit} is for single edits; a stream takes the number of records from tests")
    if not request.order_seeds:
        raise UserError("order_seeds is empty: give one seed for each order of the stream")
    if stream.order == "file" and not stream.panel and len(set(request.order_seeds)) > 1:
        raise UserError(
            f"--seed {request.order_seeds[1]}: --order file is one order, whatever the seed; give one --seed, or "
            "--order seed"
        )


def resolve_protocol(name: str) -> Switches:
    """Return a protocol's switches.

    Raises:
        UserError: no such protocol.
    """
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}; there are {' and '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def check_seed(seed: int) -> None:
    """Refuse a seed that the library does not take.

    Raises:
        UserError: the message says which are taken.
    """
    if not -(2**63) <= seed < 2**64:
        raise UserError(f"--seed {seed}: give a whole number of at most 64 bits")


def check_writable(out: Path) -> None:
    """Refuse a folder that cannot be made or written to.

    Raises:
        UserError: the message names it.
    """
    there = next(folder for folder in [out, *out.absolute().parents] if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"--out {out}: {there} is no folder that can be written to; choose another --out")

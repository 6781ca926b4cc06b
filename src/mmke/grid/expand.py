"""From a grid's file to what is run: requests, and the trainings whose checkpoints they take.

In: the file, the part of it that was chosen, and the options of the command. Out: a `Run` for each backbone, protocol,
seed, hop and benchmark, in an order in which neighbours have the same backbone. Neither data nor weights are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from mmke import registry
from mmke.editing import settings as editor_settings
from mmke.editing.trained import FOLDER
from mmke.errors import NeedsTrainingError
from mmke.grid.tables import GridFile, StreamTable
from mmke.protocols import TrainableEditor
from mmke.running.request import FLOOR, Request
from mmke.running.stream_settings import preset
from mmke.training.train import TrainRequest
from mmke.types import PROTOCOLS, WeightSource


@dataclass(frozen=True)
class Place:
    """Where a grid is run, and where its files are.

    Attributes:
        out: the results folder.
        checkpoints: where trainings go: `<protocol>/<backbone>/<benchmarks>/<editor>/` below it.
        data: folder of benchmarks that are not embedded.
        device: "cpu", "cuda", …
        on_disk: see `running.request.Request`.
        elsewhere: see `on_disk`.
    """

    out: Path = Path("results")
    checkpoints: Path = FOLDER
    data: Path | None = None
    device: str = "cpu"
    on_disk: int | None = None
    elsewhere: bool = False


class Cell(NamedTuple):
    """What one folder of results is of: its values are those that `run.json` states.

    A stream's cells have the name of their schedule only when the data are known; before, it is the stream's number.
    """

    backbone: str
    benchmark: str
    hop: int
    protocol: str
    seed: int
    editor: str
    schedule: str = "single"
    order_seed: int | None = None


@dataclass(frozen=True)
class Run:
    """A request for one benchmark, and the trainings of its editors that are trained.

    Attributes:
        request: without checkpoints.
        trainings: by editor.
        stream: number of the stream in the file, from 1; 0: single edits.
    """

    request: Request
    trainings: Mapping[str, TrainRequest]
    stream: int = 0

    @property
    def benchmark(self) -> str:
        """Return the benchmark, as it is written in the file."""
        return self.request.benchmarks[0]

    @property
    def editors(self) -> tuple[str, ...]:
        """Return the editors besides the floor."""
        return tuple(name for name in self.request.editors or () if name != FLOOR)

    def cells(self, editors: Sequence[str] | None = None) -> Iterator[Cell]:
        """Yield the cells of some editors, by default of all, each order of a stream one of its own."""
        request = self.request
        orders = request.order_seeds if self.stream else (None,)
        schedule = f"stream {self.stream}" if self.stream else "single"
        place = (request.backbone, self.benchmark, request.hop, request.protocol, request.seed)
        for name in (FLOOR, *self.editors) if editors is None else editors:
            for order in (None,) if name == FLOOR else orders:
                yield Cell(*place, name, schedule, order)


def expand(whole: GridFile, part: GridFile, place: Place) -> list[Run]:
    """Return what is run of a part of a grid.

    Raises:
        UserError: an editor's settings file or a protocol's is broken.
    """
    found: list[Run] = []
    for backbone, protocol in product(dict.fromkeys(part.backbones), dict.fromkeys(part.protocols)):
        trained = _trained(part, backbone, protocol)
        for seed, hop in product(dict.fromkeys(part.seeds), dict.fromkeys(part.hops)):
            found += _runs(whole, part, place, _Values(backbone, protocol, seed, hop, trained))
    return found


class _Values(NamedTuple):
    """The values of some axes, and which editors are trained there."""

    backbone: str
    protocol: str
    seed: int
    hop: int
    trained: frozenset[str]


def _runs(whole: GridFile, part: GridFile, place: Place, at: _Values) -> Iterator[Run]:
    if part.single:
        for benchmark in dict.fromkeys(part.benchmarks):
            yield from _run(whole, part, place, at, (benchmark, part.editors))
    for number, stream in enumerate(part.streams, 1):
        benchmarks = part.benchmarks if stream.benchmarks is None else stream.benchmarks
        editors = part.editors if stream.editors is None else stream.editors
        for benchmark in dict.fromkeys(benchmarks):
            yield from _run(whole, part, place, at, (benchmark, editors), stream=(number, stream))


def _run(
    whole: GridFile,
    part: GridFile,
    place: Place,
    at: _Values,
    what: tuple[str, Sequence[str]],
    *,
    stream: tuple[int, StreamTable] | None = None,
) -> Iterator[Run]:
    benchmark, editors = what[0], tuple(dict.fromkeys(what[1]))
    if not editors:
        return
    number, table = stream or (0, None)
    weights, dtype = _weights(part, at.backbone), part.dtypes.get(at.backbone)
    request = Request(
        backbone=at.backbone,
        editors=editors,
        benchmarks=(benchmark,),
        hop=at.hop,
        limit=0 if table else part.limit,
        protocol=at.protocol,
        metrics=part.metrics,
        generate=part.generate,
        changes={name: dict(part.settings[name]) for name in editors if name in part.settings},
        data=place.data,
        out=place.out,
        device=place.device,
        dtype=dtype,
        weights=weights,
        seed=at.seed,
        on_disk=place.on_disk,
        elsewhere=place.elsewhere,
        **_asked(part, table),
    )
    trained = [name for name in editors if name in at.trained]
    on = tuple(dict.fromkeys(whole.benchmarks)) if part.training.on == "all" else (benchmark,)
    yield Run(request, {name: _training(request, name, on, part.training.seed, place) for name in trained}, number)


def _asked(part: GridFile, table: StreamTable | None) -> dict[str, Any]:
    """Return which questions are asked, and of a stream what it is."""
    if table is None:
        return {"probes": part.probes, "partners": part.partners}
    chosen = None if table.preset is None else preset(table.preset)
    seeds = table.order_seeds or (chosen.seeds if chosen else (0,))
    return {
        "probes": table.probes or (chosen and chosen.probes) or part.probes,
        "partners": table.partners or (chosen and chosen.partners) or part.partners,
        "stream": table.settings(),
        "order_seeds": tuple(dict.fromkeys(seeds)),
    }


def _weights(part: GridFile, backbone: str) -> WeightSource:
    named = part.weights.get(backbone)
    if named == "random":
        return "random"
    return None if named is None else Path(named).expanduser()


def _trained(part: GridFile, backbone: str, protocol: str) -> frozenset[str]:
    """Return the editors that have networks, which are trained."""
    names = {*part.editors, *(name for stream in part.streams for name in stream.editors or ())}
    return frozenset(name for name in names if _is_trained(name, backbone, protocol, part.settings.get(name, {})))


def _is_trained(name: str, backbone: str, protocol: str, changes: Mapping[str, Any]) -> bool:
    values = editor_settings.resolve(name, backbone, changes, protocol=protocol)
    switches = editor_settings.resolve_switches(PROTOCOLS[protocol], name)
    try:
        return isinstance(registry.factory("editors", name)(values, switches, train=(), seed=0), TrainableEditor)
    except NeedsTrainingError:  # of one that takes demonstrations from training records
        return False


def _training(request: Request, editor: str, on: tuple[str, ...], seed: int, place: Place) -> TrainRequest:
    # What acts only while editing makes no other training.
    editing = editor_settings.editing_alone(editor)
    return TrainRequest(
        editor=editor,
        backbone=request.backbone,
        benchmarks=on,
        protocol=request.protocol,
        changes={key: value for key, value in request.changes.get(editor, {}).items() if key not in editing},
        data=request.data,
        out=place.checkpoints / request.protocol,
        device=request.device,
        dtype=request.dtype,
        weights=request.weights,
        seed=seed,
        elsewhere=request.elsewhere,
    )

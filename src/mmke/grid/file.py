"""The file of a grid: what is run, as a TOML file.

In: the path of a file, or the name of a grid that comes with mmke (`grids/`). Out: a `GridFile`. Every mistake is told
at once, each with the key, the value and the way out.
"""

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmke import registry
from mmke.errors import UserError, did_you_mean
from mmke.running.request import PARTNERS, PROBES, check_seed
from mmke.running.stream_settings import PRESETS, StreamSettings, preset, settings_of
from mmke.types import PROTOCOLS

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Hop = Annotated[int, Field(ge=0, le=4)]
Count = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TrainingTable(_Table):
    """How editors are trained that need it.

    Attributes:
        on: "each" trains for each benchmark on its own training records; "all" once, on those of all benchmarks.
        seed: of all trainings: all seeds of the runs use the same networks.
    """

    on: Literal["each", "all"] = "each"
    seed: int = 0


class StreamTable(_Table):
    """A stream of each backbone, editor, benchmark, hop, protocol and seed; see `StreamSettings` for what is unnamed.

    Attributes:
        preset: settings by a name, over which the others are laid.
        editors: in place of the grid's.
        benchmarks: in place of the grid's.
        order_seeds: each is a stream of its own.
        probes: which questions are asked.
        partners: of hard locality.
    """

    preset: str | None = None
    editors: Names | None = None
    benchmarks: Names | None = None
    order_seeds: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    probes: str | None = None
    partners: str | None = None
    order: str | None = None
    tests: Count | None = None
    batch: Count | None = None
    score: str | None = None
    panel: Count | None = None
    reset: Count | None = None
    distract: Count | None = None
    groups: Count | None = None
    items: Count | None = None
    first_of_group: bool | None = None

    def settings(self) -> StreamSettings:
        """Return what the stream is.

        Raises:
            UserError: an unknown preset, or settings that make no sense.
        """
        own = ("preset", "editors", "benchmarks", "order_seeds", "probes", "partners")
        given = {name: value for name, value in self if name not in own}
        return settings_of(None if self.preset is None else preset(self.preset), given)


class GridFile(_Table):
    """What a grid's file says.

    Attributes:
        backbones: names.
        editors: names; the floor is run in any case.
        benchmarks: names, or paths of files.
        hops: each is a run of its own, like the next two.
        protocols: see `hops`.
        seeds: see `hops`.
        single: whether records are edited one by one; False: streams alone.
        limit: records of each benchmark; 0: all.
        probes: see `running.request.Request`, like the next three.
        partners: see `probes`.
        metrics: see `probes`.
        generate: see `probes`.
        settings: of editors, laid over the shipped ones.
        weights: folder of a backbone's weights, or "random", by backbone.
        dtypes: precision of a backbone's language model, by backbone.
        training: of editors that are trained.
        streams: each is run beside the single edits.
    """

    backbones: Names
    editors: Names
    benchmarks: Names
    hops: Annotated[tuple[Hop, ...], Field(min_length=1)] = (1,)
    protocols: Names = ("strict",)
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    single: bool = True
    limit: Count = 0
    probes: str = "published"
    partners: str = "eval"
    metrics: tuple[str, ...] = ()
    generate: bool = False
    settings: Mapping[str, Mapping[str, Any]] = {}
    weights: Mapping[str, str] = {}
    dtypes: Mapping[str, Literal["float32", "float16", "bfloat16"]] = {}
    training: TrainingTable = TrainingTable()
    streams: tuple[StreamTable, ...] = ()


def shipped() -> dict[str, Path]:
    """Return the grids that come with mmke, by name."""
    folder = Path(str(files("mmke.grid"))) / "grids"
    return {file.stem: file for file in sorted(folder.glob("*.toml"))}


def find(named: str) -> Path:
    """Return the file of a grid: that of a path, or one that comes with mmke.

    Raises:
        UserError: there is neither; the message lists the names.
    """
    path = Path(named).expanduser()
    if path.is_file():
        return path
    known = shipped()
    if named not in known:
        raise UserError(
            f"{named}: there is no such file, and no grid of this name{did_you_mean(named, known)}; "
            f"mmke brings {', '.join(known)}"
        )
    return known[named]


def read(path: Path) -> GridFile:
    """Read a grid's file.

    Raises:
        UserError: it is no TOML, or says something that cannot be run; every mistake is listed.
    """
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    try:
        grid = GridFile.model_validate(_with_tuples(plain))
    except ValidationError as error:
        raise _told(path, dict.fromkeys(_problem(each) for each in error.errors())) from error
    problems = list(_mistakes(grid))
    if problems:
        raise _told(path, problems)
    return grid


def _told(path: Path, problems: Iterable[str]) -> UserError:
    return UserError("\n  ".join([f"{path} cannot be run:", *problems]))


def _with_tuples(plain: Any) -> Any:
    """Return TOML's lists as tuples, since what is read cannot be changed."""
    if isinstance(plain, dict):
        return {key: _with_tuples(value) for key, value in plain.items()}
    return tuple(map(_with_tuples, plain)) if isinstance(plain, list) else plain


def _problem(error: Any) -> str:
    """Say one mistake of a key or a value's type: where it stands, the value, and what it should be."""
    place = [part for part in error["loc"] if part != "tuple[str, ...]"]
    where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    if error["type"] == "extra_forbidden":
        model = _model(place[:-1])
        return f"{where}: unknown key{did_you_mean(str(place[-1]), model.model_fields)}; there are " + ", ".join(
            model.model_fields
        )
    if error["type"] == "missing":
        return f"{where} is missing: give a list of names (mmke ls {where})"
    return f"{where} = {_as_written(error['input'])}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _as_written(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def _model(place: Sequence[Any]) -> type[_Table]:
    tables: Mapping[Any, type[_Table]] = {"training": TrainingTable, "streams": StreamTable}
    return tables[place[0]] if place else GridFile


def _mistakes(grid: GridFile) -> Iterable[str]:
    """Yield what is wrong with names and values of the right type."""
    nouns: Mapping[str, registry.Noun] = {"backbones": "backbones", "editors": "editors", "metrics": "metrics"}
    for key, noun in nouns.items():
        for name in getattr(grid, key):
            yield from _tried(key, lambda noun=noun, name=name: registry.import_string(noun, name))  # type: ignore[misc]
    for name in grid.protocols:
        if name not in PROTOCOLS:
            yield f"protocols: unknown protocol {name!r}{did_you_mean(name, PROTOCOLS)}; there are {_and(PROTOCOLS)}"
    for key, names in (("probes", PROBES), ("partners", PARTNERS)):
        value = getattr(grid, key)
        if value not in names:
            yield f"{key} = {value!r}: give one of {', '.join(names)}"
    for seed in (*grid.seeds, grid.training.seed):
        yield from _tried("seeds", lambda seed=seed: check_seed(seed))  # type: ignore[misc]
    streamed = [name for each in grid.streams for name in each.editors or ()]
    for key, known in (
        ("settings", [*grid.editors, *streamed]),
        ("weights", grid.backbones),
        ("dtypes", grid.backbones),
    ):
        for name in getattr(grid, key):
            if name not in known:
                yield f"{key}.{name}: the grid does not use it{did_you_mean(name, known)}; it uses {', '.join(known)}"
    yield from _streams(grid)


def _streams(grid: GridFile) -> Iterable[str]:
    if not grid.single and not grid.streams:
        yield "single = false: then nothing is run; add a table [[streams]], or leave it out"
    for number, each in enumerate(grid.streams, 1):
        place = f"streams[{number}]"
        yield from _tried(place, each.settings)
        yield from _undivided(place, each, grid)
        for name in each.editors or ():
            yield from _tried(place, lambda name=name: registry.import_string("editors", name))  # type: ignore[misc]
        for key, names in (("probes", PROBES), ("partners", PARTNERS)):
            value = getattr(each, key)
            if value is not None and value not in names:
                yield f"{place}.{key} = {value!r}: give one of {', '.join(names)}"


def _undivided(place: str, stream: StreamTable, grid: GridFile) -> Iterable[str]:
    """Yield a benchmark whose records a preset needs in two parts."""
    suffix = PRESETS[stream.preset].suffix if stream.preset in PRESETS else ""
    parts = [part for name in stream.benchmarks or grid.benchmarks for part in name.split("+")]
    stray = next((part for part in parts if suffix not in part), None)
    if stray is not None:
        yield (
            f"{place}.preset = {stream.preset!r}: it edits each record in two parts, and {stray} is not divided; name "
            f"{stray}{suffix}"
        )


def _tried(place: str, check: Callable[[], object]) -> Iterable[str]:
    try:
        check()
    except UserError as error:
        yield f"{place}: {error}"


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)

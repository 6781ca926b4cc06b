"""What can be wrong with a grid's file, each in one line: where it stands, the value, and the way out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel

from mmke import registry
from mmke.errors import UserError, did_you_mean
from mmke.grid.tables import GridFile, StreamTable, TrainingTable
from mmke.running.request import PARTNERS, PROBES, check_seed, resolve_protocol
from mmke.running.stream_settings import PRESETS


def told(error: Any) -> str:
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
    return f"{where} = {_as_written(error['input'])}: {_wanted(error)}"


def follows(error: Any) -> bool:
    """Tell whether a mistake only follows from another: a list counts as empty when its items are wrong."""
    return error["type"] == "too_short" and bool(error["input"])


def _wanted(error: Any) -> str:
    """Say what a value should be."""
    context = error.get("ctx", {})
    sentences = {
        "int_type": "give a whole number",
        "string_type": "give a text in quotation marks",
        "tuple_type": "give a list, in brackets",
        "bool_type": "give true or false",
        "too_short": "name at least one",
        "greater_than_equal": f"give a number from {context.get('ge')} up",
        "less_than_equal": f"give a number up to {context.get('le')}",
        "literal_error": f"give {context.get('expected')}",
    }
    return sentences.get(error["type"], str(error["msg"]))


def _as_written(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def _model(place: Sequence[Any]) -> type[BaseModel]:
    tables: Mapping[Any, type[BaseModel]] = {"training": TrainingTable, "streams": StreamTable}
    return tables[place[0]] if place else GridFile


def mistakes(grid: GridFile) -> Iterator[str]:
    """Yield what is wrong with names and values that are of the right type."""
    for name in grid.backbones:
        yield from _tried("backbones", partial(registry.import_string, "backbones", name))
    for name in grid.metrics:
        yield from _tried("metrics", partial(registry.import_string, "metrics", name))
    for name in grid.protocols:
        yield from _tried("protocols", partial(resolve_protocol, name))
    for seed in grid.seeds:
        yield from _tried("seeds", partial(check_seed, seed))
    yield from _tried("training.seed", partial(check_seed, grid.training.seed))
    yield from _editors("editors", grid.editors)
    yield from _choices("", grid.probes, grid.partners)
    yield from _strays(grid)
    if not grid.single and not grid.streams:
        yield "single = false: then nothing is run; add a table [[streams]], or leave it out"
    for number, stream in enumerate(grid.streams, 1):
        yield from _of_stream(f"streams[{number}]", stream, grid)


def _editors(place: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from _tried(place, partial(registry.import_string, "editors", name))


def _choices(place: str, probes: str | None, partners: str | None) -> Iterator[str]:
    for key, value, known in (("probes", probes, PROBES), ("partners", partners, PARTNERS)):
        if value is not None and value not in known:
            yield f"{place}{key} = {value!r}: give one of {', '.join(known)}"


def _strays(grid: GridFile) -> Iterator[str]:
    """Yield what is said of an editor or a backbone that the grid does not use."""
    editors = [*grid.editors, *(name for stream in grid.streams for name in stream.editors or ())]
    for key, known in (("settings", editors), ("weights", grid.backbones), ("dtypes", grid.backbones)):
        for name in getattr(grid, key):
            if name not in known:
                yield f"{key}.{name}: the grid does not use it{did_you_mean(name, known)}; it uses {', '.join(known)}"


def _of_stream(place: str, stream: StreamTable, grid: GridFile) -> Iterator[str]:
    yield from _tried(place, stream.settings)
    yield from _editors(f"{place}.editors", stream.editors or ())
    yield from _choices(f"{place}.", stream.probes, stream.partners)
    for seed in stream.order_seeds or ():
        yield from _tried(f"{place}.order_seeds", partial(check_seed, seed))
    preset = PRESETS.get(stream.preset or "")
    parts = [part for name in stream.benchmarks or grid.benchmarks for part in name.split("+")]
    stray = next((part for part in parts if preset and preset.suffix not in part), None)
    if preset and stray is not None:
        yield (
            f"{place}.preset = {stream.preset!r}: it edits each record in two parts, and {stray} is not divided; name "
            f"{stray}{preset.suffix}"
        )


def _tried(place: str, check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except UserError as error:
        yield f"{place}: {error}"

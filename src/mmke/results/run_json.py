"""`run.json`: its fields, and how it is read and written. Fields that this version does not know are kept."""

import json
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, NotRequired, cast

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from mmke import renamed
from mmke.errors import UserError
from mmke.lines import validated, write_at_once
from mmke.results import v1
from mmke.types import Role

RUN = "run.json"
SCHEMA = 2


class _Kind(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    label: str
    role: Role
    headline: bool
    group: NotRequired[str | None]


class _Column(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    metric: str
    kind: str
    unit: str
    higher_is_better: bool


class _Records(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    used: int
    dropped: list[Any]


class _Start(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    versions: dict[str, str | None]
    commit: dict[str, Any] | None


class _Run(TypedDict):
    """What tables and later starts read of `run.json`."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True)  # type: ignore[misc]

    schema: int
    backbone: str
    editor: str
    benchmark: str
    protocol: str
    hop: int
    seed: int
    schedule: str
    switches: dict[str, Any]
    metrics: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    kinds: dict[str, _Kind]
    columns: dict[str, _Column]
    records: _Records
    history: list[_Start]


_ADAPTER = TypeAdapter(_Run)


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return what `run.json` holds, that of the first format with what today's says besides; None when there is none.

    Raises:
        UserError: it is broken, or of a version that this one does not read; the message names the key.
    """
    file = folder / RUN
    if not file.exists():
        return None
    try:
        plain = json.loads(file.read_bytes())
    except ValueError as error:
        raise UserError(f"{file} is broken ({error}); restore it, or delete the folder and run again") from error
    try:
        run = _checked(plain)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{file} is not the record of a run that this version reads: {error}; move it away, or name another folder"
        ) from error
    settings = renamed.current(run["settings"], editor=run["editor"], protocol=run["protocol"])
    # Before there were other probes, there were the published ones alone.
    return {"probes": "published", "partners": None, **run, "settings": settings}


def _checked(plain: object) -> dict[str, Any]:
    """Return the record of a run, with the fields of today; unknown ones are kept.

    Raises:
        ValueError: it lacks a field, or has one of another type.
        TypeError: it is no object.
    """
    if not isinstance(plain, dict):
        raise TypeError(f"a JSON object was expected, not {type(plain).__name__}")
    if "schema" not in plain:
        plain = v1.upgraded(plain)
    if isinstance(plain["schema"], int) and plain["schema"] > SCHEMA:
        raise ValueError(f"schema: {plain['schema']} is of a later version of mmke, this one reads up to {SCHEMA}")
    return dict(cast("Mapping[str, Any]", validated(_ADAPTER.validate_python, plain)))


def save_run(folder: Path, run: Mapping[str, Any]) -> None:
    """Write `run.json` at once: whenever the machine stops, either the old or the new one is there."""
    last = [key for key in ("kinds", "columns", "records", "history") if key in run]
    order = ["schema", *(key for key in run if key not in ("schema", *last)), *last]
    text = json.dumps({key: run[key] for key in order}, indent=2, ensure_ascii=False, default=plain_value) + "\n"
    write_at_once(folder / RUN, text.encode("utf-8", errors="backslashreplace"))


def plain_value(value: object) -> str:
    """Return what stands in JSON for a value that JSON does not know.

    Raises:
        TypeError: it is no path, date or time.
    """
    if isinstance(value, Path | date | time):  # TOML has dates and times, JSON has not
        return str(value)
    raise TypeError(f"{value!r} cannot stand in {RUN}; settings are numbers, texts, lists and tables of them")

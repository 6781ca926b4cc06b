"""`run.json`: what a folder's rows were made with, and by which sessions of work.

Two halves. Settings decide the rows: a folder takes only rows of equal settings. Facts do not: how many records were
asked for, the device's name, the versions, the commit, the command line. Each start adds its facts to `history`.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmke import renamed
from mmke.errors import UserError
from mmke.results.provenance import project_commit, versions
from mmke.types import Dropped, Switches

RUN = "run.json"

_TOLD = ("device", "versions", "commit")
"""Facts whose change from one start to the next is told."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that decides the rows of a folder.

    Attributes:
        backbone: its name, like the next two.
        editor: see `backbone`.
        benchmark: see `backbone`; the path of the user's own file is a name too.
        hop: which portability questions were asked; 0: none.
        switches: as resolved for this editor.
        settings: the editor's own settings.
        metrics: names of the metrics, in order.
        generate: whether the model also wrote answers by itself.
        seed: of the whole run.
        dtype: of the backbone's weights, such as "float32".
        device_type: "cpu" or "cuda": the two do not agree to the last bit.
        data_revision: sha256 of the annotation files.
        weights_revision: of the backbone's weights.
    """

    backbone: str
    editor: str
    benchmark: str
    hop: int
    switches: Switches
    settings: Mapping[str, Any]
    metrics: tuple[str, ...]
    generate: bool
    seed: int
    dtype: str
    device_type: str
    data_revision: str
    weights_revision: str

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as the plain data that JSON gives back."""
        plain = asdict(self) | {"protocol": self.switches.protocol}
        return dict(json.loads(json.dumps(plain, allow_nan=False, default=_plain)))


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a start of a run adds to the record without deciding its rows.

    Attributes:
        device: its name, such as "NVIDIA H100 80GB HBM3".
        records_used: how many records this start goes over (`--limit`).
        dropped: records that the benchmark left out, with reasons.
        command: the command line.
    """

    device: str
    records_used: int
    dropped: tuple[Dropped, ...]
    command: tuple[str, ...]


def read_run(folder: Path) -> dict[str, Any] | None:
    """Return what `run.json` holds; None when there is none.

    Raises:
        UserError: it is not what this program writes.
    """
    file = folder / RUN
    if not file.exists():
        return None
    try:
        plain = json.loads(file.read_bytes())
    except ValueError as error:
        raise UserError(f"{file} is broken ({error}); restore it, or delete the folder and run again") from error
    if not _is_record(plain):
        raise UserError(f"{file} is not the record of a run; move it away, or name another folder")
    return {**plain, "settings": renamed.current(plain["settings"])}


def _is_record(plain: object) -> bool:
    """Tell whether this is a run's record, down to what tables and later starts read of it."""
    expected = {*RunSettings.__dataclass_fields__, "protocol", "records", "history"}
    if not isinstance(plain, dict) or expected - plain.keys():
        return False
    kinds = {
        "backbone": str,
        "editor": str,
        "benchmark": str,
        "protocol": str,
        "hop": int,
        "history": list,
        "settings": dict,
    }
    if any(type(plain[key]) is not kind for key, kind in kinds.items()):
        return False
    told = all(isinstance(start, dict) and start.keys() >= set(_TOLD) for start in plain["history"])
    return told and isinstance(plain["records"], dict) and isinstance(plain["records"].get("dropped"), list)


def check_same_settings(folder: Path, settings: RunSettings) -> None:
    """Refuse a folder that was made with other settings.

    Raises:
        UserError: the message lists every difference.
    """
    before = read_run(folder)
    if before is None:
        return
    old = {key: value for key, value in before.items() if key not in ("records", "history")}
    changes = differences(old, settings.as_dict())
    if changes:
        raise UserError(
            f"{folder} holds a run with other settings:\n"
            + "\n".join(f"  {change}" for change in changes)
            + "\nchoose another --out, or delete the folder"
        )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one line per key whose values differ; nested keys are joined by dots."""
    left, right = _flat(old), _flat(new)
    missing = "nothing"
    return [
        f"{key}: the folder has {left.get(key, missing)}, this run {right.get(key, missing)}"
        for key in dict.fromkeys([*left, *right])
        if left.get(key, missing) != right.get(key, missing)
    ]


def write_run(folder: Path, settings: RunSettings, facts: RunFacts) -> None:
    """Write `run.json` at once, keeping the history of earlier starts."""
    history: list[dict[str, Any]] = (read_run(folder) or {"history": []})["history"]
    commit = project_commit()
    start = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(facts.command),
        "device": facts.device,
        "versions": versions(),
        "commit": None if commit is None else asdict(commit),
    }
    _tell_changes(folder, history, start)
    records = {"used": facts.records_used, "dropped": [drop._asdict() for drop in facts.dropped]}
    plain = settings.as_dict() | {"records": records, "history": [*history, start]}
    write_at_once(folder / RUN, json.dumps(plain, indent=2, ensure_ascii=False, default=_plain) + "\n")


def write_at_once(file: Path, text: str) -> None:
    """Write a file so that, whenever the machine stops, either the old or the new content is there."""
    draft = file.with_name(f"{file.name}.tmp")
    with draft.open("w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were created or renamed in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tell_changes(folder: Path, history: Sequence[Mapping[str, Any]], start: Mapping[str, Any]) -> None:
    if not history:
        return
    changes = differences({key: history[-1][key] for key in _TOLD}, {key: start[key] for key in _TOLD})
    for change in changes:
        logger.warning("%s continues under other conditions: %s", folder, change)


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in plain.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value, ensure_ascii=False)
    return found


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{value!r} cannot stand in {RUN}; settings are numbers, texts, lists and tables of them")

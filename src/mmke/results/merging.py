"""Put the parts of a run together: the folder that one process would have written, row for row and byte for byte.

In: the results folders of all shards. Out: one results folder. Records of single edits, and of the floors of streams,
are put into evaluation order; a stream, which one shard has written from its beginning to its end, is copied.
"""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmke.counting import counted
from mmke.errors import UserError
from mmke.lines import sync_folder, write_file
from mmke.results.finished import ANSWERS, CASES, ROWS, RawRecord, read_raw
from mmke.results.locks import LOCK
from mmke.results.parts import SHOWN, Part, check_parts, read_cell, read_part
from mmke.results.rows import RecordKey
from mmke.results.run_json import save_run
from mmke.results.timings import TIMINGS

logger = logging.getLogger(__name__)


class Merged(NamedTuple):
    """What was put together; `new` is false where the folder held all of it already."""

    records: Mapping[str, int]
    new: bool


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Put the parts of a run into one results folder.

    Args:
        folders: the results folder of every shard, in any order.
        out: where the whole goes: a new folder, or one that holds the same already.

    Raises:
        UserError: a part is missing, unfinished, broken or of another run, or `out` holds something else.
    """
    parts = sorted(map(read_part, folders), key=lambda part: part.shard)
    check_parts(parts)
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; choose a new folder")
    for part in parts:
        if out.resolve() == part.folder.resolve() or part.folder.resolve() in out.resolve().parents:
            raise UserError(f"--out {out} lies in {part}; choose a folder beside the parts")
    draft = out.absolute().with_name(f".{out.absolute().name}.merging")
    shutil.rmtree(draft, ignore_errors=True)  # of a merge that was killed
    try:
        records = {place: _merge_cell(parts, place, draft / place) for place in parts[0].cells}
        return Merged(records, new=_put_in_place(draft, out))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _merge_cell(parts: Sequence[Part], place: str, target: Path) -> int:
    """Write one cell, and return how many records it has."""
    runs = {part: run for part in parts if (run := read_cell(part, place)) is not None}
    raw = {part: read_raw(part.folder / place) for part in runs}
    target.mkdir(parents=True)
    order = parts[0].cells[place].order
    if order is None:
        [(part, records)] = raw.items()
        shutil.copytree(part.folder / place, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(LOCK, "*.tmp"))
        count = len(records)
    else:
        found = _in_order(place, order, raw)
        _write(found, target)
        count = len(found)
    save_run(target, _run(runs, wanted=count))
    return count


def _in_order(place: str, order: Sequence[str], raw: Mapping[Part, Mapping[RecordKey, RawRecord]]) -> list[RawRecord]:
    """Return the records of all parts in evaluation order."""
    found: dict[str, tuple[Part, RawRecord]] = {}
    for part, records in raw.items():
        for key, record in records.items():
            earlier = found.setdefault(key.case_id, (part, record))
            if earlier[1]._replace(timing=b"") != record._replace(timing=b""):
                raise UserError(f"{place}: record {key.case_id!r} is another in {earlier[0]} than in {part}")
    missing = [case for case in order if case not in found]
    if missing:
        raise UserError(
            f"{place}: {counted(len(missing), 'record')} in no part, such as {', '.join(missing[:SHOWN])}; give the "
            "commands of all shards again, then merge"
        )
    others = len(found) - len(order)
    if others:
        logger.warning("%s: left out %s that the last start of the shards did not ask for", place, others)
    return [found[case][1] for case in order]


def _write(records: Sequence[RawRecord], target: Path) -> None:
    write_file(target / CASES, b"".join(record.case for record in records))
    write_file(target / ANSWERS, b"".join(record.answers for record in records))
    write_file(target / TIMINGS, b"".join(record.timing for record in records))
    write_file(target / ROWS, b"".join(record.rows for record in records))


def _run(runs: Mapping[Part, Mapping[str, Any]], *, wanted: int) -> dict[str, Any]:
    """Return the `run.json` of the whole, with the starts of all parts."""
    first = next(iter(runs.values()))
    merged = {**first, "kinds": {}, "columns": {}, "history": []}
    for part, run in runs.items():
        merged["kinds"] |= run["kinds"]
        merged["columns"] |= run["columns"]
        merged["history"] += [{**start, "shard": part.shard._asdict()} for start in run["history"]]
    records = {key: value for key, value in first["records"].items() if key != "shard"}
    return {**merged, "records": {**records, "wanted": wanted}}


def _put_in_place(draft: Path, out: Path) -> bool:
    """Rename what was written to where it belongs; false where the same is there already.

    Raises:
        UserError: something else is there.
    """
    if out.is_dir() and any(out.iterdir()):
        files = [file for file in draft.rglob("*") if file.is_file()]
        there = [out / file.relative_to(draft) for file in files]
        same = (
            other.is_file() and file.read_bytes() == other.read_bytes()
            for file, other in zip(files, there, strict=True)
        )
        if not all(same):
            raise UserError(f"--out {out} holds other files already; choose a new folder")
        return False
    for file in draft.rglob("*"):
        if file.is_dir():
            sync_folder(file)
            continue
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    draft.replace(out)
    sync_folder(out.absolute().parent)
    return True

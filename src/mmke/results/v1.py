"""Reads folders of the first format: `run.json` without `schema`, rows that repeat what was asked and answered.

Tables read them like those of today; a run does not continue them. What such a folder does not say of its kinds and
metrics is filled in here: they could only be MMKE-Bench's kinds and the package's own metrics.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from mmke.lines import json_object, read_lines, validated
from mmke.results.described import Column, describe_kinds
from mmke.results.rows import RecordKey, whole_records
from mmke.results.timings import TIMINGS, Timing, parse_timing
from mmke.types import EditCase, ImageRef, Probe, ProbeKind, Query, Role, ScoreRow, StoredAnswer

ROWS = "rows.jsonl"
SCHEMA = 1

_ROLES: Mapping[Role, Mapping[str, str]] = {
    "recall": {"recall": "recall", "rephrase": "rephrase", "image_rephrase": "image_rephrase"},
    "locality": {"t_loc": "T-Loc", "i_loc": "I-Loc"},
    "relation": {"t_rel": "T-Rel", "i_rel": "I-Rel", "i_gen": "I-Gen", "port": "Port"},
}
_SUFFIXES: Mapping[Role, Mapping[str, str]] = {
    "recall": {"": "accuracy"},
    "locality": {"": "agreement", "_top10": "agreement-top10", "_base": "agreement-base", "_kl": "divergence"},
    "relation": {"": "accuracy", "_em": "exact-match", "_f1": "token-f1"},
}
KINDS: Mapping[str, ProbeKind] = {
    name: ProbeKind(name, label, role, headline=role != "recall")
    for role, labels in _ROLES.items()
    for name, label in labels.items()
}
COLUMNS: Mapping[str, Column] = {
    f"{kind.name}{suffix}": Column(
        metric, kind.name, "nats" if suffix == "_kl" else "per cent", higher_is_better=suffix != "_kl"
    )
    for kind in KINDS.values()
    for suffix, metric in _SUFFIXES[kind.role].items()
}


class V1Record(NamedTuple):
    """One finished record: its rows, its case as far as the rows tell it, and what it cost where that is known."""

    key: RecordKey
    rows: tuple[ScoreRow, ...]
    case: EditCase
    timing: Timing | None


class _StoredAnswerLine(TypedDict):
    text: str
    ids: list[int]
    target_logprob: float | None


class _RowLine(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)  # type: ignore[misc]

    case_id: str
    edits_applied: int
    probe: int | None
    kind: str
    metric: str
    value: float | None
    floor: float | None
    n_scored: int
    reason: str | None
    tags: dict[str, str]
    notes: dict[str, int]
    question: str
    target: str
    image: str | None
    before: _StoredAnswerLine | None
    after: _StoredAnswerLine | None


_ADAPTER = TypeAdapter(_RowLine)


def upgraded(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a `run.json` of the first format holds, with what today's says besides."""
    published_ke = (run.get("editor"), run.get("protocol")) == ("ke", "paper")
    return {
        **run,
        "schema": SCHEMA,
        "schedule": "single",
        "metrics": {name: {} for name in run.get("metrics") or []},
        "switches": {**(run.get("switches") or {}), "average": "micro" if published_ke else "macro"},
        "kinds": describe_kinds(KINDS.values()),
        "columns": {name: column._asdict() for name, column in COLUMNS.items()},
    }


def read(folder: Path) -> list[V1Record]:
    """Return the finished records in the order written; the folder is not changed.

    Raises:
        UserError: a line that is not the last is broken, missing or repeated.
    """
    timings = {line.content.key.case_id: line.content for line in read_lines(folder / TIMINGS, parse_timing)}
    # Without timings.jsonl nothing says how many rows a record has; such a folder was copied, so it was finished.
    rows = {case_id: timed.rows for case_id, timed in timings.items()}
    groups = whole_records(read_lines(folder / ROWS, _parse), _key, lambda row: rows.get(row["case_id"]))
    return [
        V1Record(
            key,
            tuple(_row(line.content) for line in group),
            _case(line.content for line in group),
            timings[key.case_id].timing if key.case_id in timings else None,
        )
        for key, group in groups.items()
    ]


def _parse(line: bytes) -> _RowLine:
    return validated(_ADAPTER.validate_python, json_object(line))


def _key(row: _RowLine) -> RecordKey:
    return RecordKey(row["case_id"], "single", row["edits_applied"], None)


def _row(plain: _RowLine) -> ScoreRow:
    return ScoreRow(
        case_id=plain["case_id"],
        probe=plain["probe"],
        kind=plain["kind"],
        metric=plain["metric"],
        edits_applied=plain["edits_applied"],
        value=plain["value"],
        floor=plain["floor"],
        n_scored=plain["n_scored"],
        reason=plain["reason"],
        notes=plain["notes"],
        before=_stored(plain["before"]),
        after=_stored(plain["after"]),
    )


def _stored(plain: _StoredAnswerLine | None) -> StoredAnswer | None:
    return None if plain is None else StoredAnswer(plain["text"], tuple(plain["ids"]), plain["target_logprob"])


def _case(rows: Iterable[_RowLine]) -> EditCase:
    """Return what a record's rows tell of its case: nothing of the edit, and of a picture its file name."""
    probes, unscored, case_id = {}, {}, ""
    for row in rows:
        case_id, kind = row["case_id"], KINDS.get(row["kind"]) or ProbeKind(row["kind"], row["kind"], "relation")
        if row["probe"] is None:
            unscored[kind] = row["reason"] or ""
        else:
            image = None if row["image"] is None else ImageRef(Path(row["image"]), "")
            probes[row["probe"]] = Probe(kind, Query(row["question"], image), row["target"], row["tags"])
    return EditCase(case_id, (), tuple(probes[i] for i in sorted(probes)), unscored)

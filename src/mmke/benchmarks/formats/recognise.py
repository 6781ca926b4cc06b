"""Which format a file is in, by the fields of its records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mmke.benchmarks.formats import mmedit, mmke, vlkeb
from mmke.benchmarks.formats.record import Record
from mmke.benchmarks.probes.published import KINDS, SISTERS, Kinds
from mmke.types import ProbeKind


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: as people are told.
        read: reads a record's fields.
        fields: all names that it gives a meaning to.
        kinds: the kinds of question that its records are asked.
        not_asked: kinds of MMKE-Bench that it has no questions of, each with the reason.
    """

    name: str
    read: Callable[..., Record | None]
    fields: frozenset[str]
    kinds: Kinds = KINDS
    not_asked: Mapping[ProbeKind, str] = field(default_factory=dict)


def _sister(name: str, source: str, fields: frozenset[str]) -> Format:
    reason = f"{name} has no such question"
    return Format(
        name=name,
        read=partial(mmedit.read, source=source),
        fields=fields,
        kinds=SISTERS,
        not_asked=dict.fromkeys((SISTERS.t_rel, SISTERS.i_rel, SISTERS.i_gen), reason),
    )


MMKE = Format("MMKE-Bench", mmke.read, mmke.FIELDS)
VLKEB = _sister("VLKEB", "vlkeb", vlkeb.FIELDS)
ONE_HOP = _sister("VLKEB (one hop)", "vlkeb", vlkeb.FIELDS)
E_VQA = _sister("MMEdit (E-VQA)", "e-vqa", mmedit.FIELDS)
E_IC = _sister("MMEdit (E-IC)", "e-ic", mmedit.FIELDS)

FORMATS = (MMKE, VLKEB, ONE_HOP, E_VQA, E_IC)


def recognise(raws: Iterable[object]) -> Format:
    """Return the format of a file's records; MMKE-Bench's where no other fits, so that its problems are told."""
    records: Sequence[Mapping[str, Any]] = [raw for raw in raws if isinstance(raw, dict)]
    fit = sum(raw.keys() >= mmedit.NEEDED for raw in records)
    if any(mmke.KNOWN_BY & raw.keys() for raw in records) or not fit * 2 > len(records):
        return MMKE
    if any("port_q" in raw for raw in records):
        return ONE_HOP
    paths = [raw["image"] for raw in records if isinstance(raw.get("image"), str)]
    if any("port_new" in raw for raw in records) or any(vlkeb.ENTITY.match(path) for path in paths):
        return VLKEB
    return E_IC if all(raw.get("src") == mmedit.CAPTION for raw in records) else E_VQA

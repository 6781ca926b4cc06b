"""What it costs to give an edit in two parts: the composition gap.

In: folders of runs of a benchmark, and of its divided forms (`NAME@split`, `NAME@split-text-first`). Out: for each
editor on a divided benchmark the accuracy of I-Rel under the one joint edit and under the two, their difference on the
same cases (the gap), and the accuracy of the questions by the part of the description that they take, under the two.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from mmke.errors import UserError
from mmke.report.blocks import ABSENT, TableBlock
from mmke.report.cells import FLOOR
from mmke.report.table import check_form, csv_text, draw, json_text, rounded
from mmke.results.finished import read_cases, read_finished
from mmke.results.run_json import RUN, read_run

RELATION = "i_rel"
PARTS = ("composed", "visual", "textual")
FIGURES = ("joint", "divided", "gap", *PARTS)
NOTE = (
    "gap: I-Rel under one edit − under two, on the same cases; composed: I-Rel questions that need both edits; "
    "visual: those that the visual edit answers; textual: T-Rel (these three under two edits)"
)


class Place(NamedTuple):
    """What a run is of, as it was recorded."""

    backbone: str
    benchmark: str
    hop: int
    protocol: str
    editor: str
    seed: int


class Estimate(NamedTuple):
    """A mean over cases in per cent, its standard error, and the number of cases."""

    value: float
    se: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Composition:
    """One editor on one divided benchmark.

    Attributes:
        place: what the run is of.
        figures: by the names in `FIGURES`; None where no case has one. Joint and divided: I-Rel under one edit and
            under two, of the cases that both runs have; gap: joint − divided, case by case. Under two edits: composed
            (I-Rel questions that need both), visual (those that the visual edit answers), textual (T-Rel).
    """

    place: Place
    figures: Mapping[str, Estimate | None]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        figures = {name: None if figure is None else figure._asdict() for name, figure in self.figures.items()}
        return self.place._asdict() | figures


def read_compositions(out: Path) -> list[Composition]:
    """Read every single-edit run of a divided benchmark below a folder, and the run of the whole one beside it.

    Raises:
        UserError: there is none, or a file is broken.
    """
    runs: dict[Place, Path] = {}
    for file in sorted(out.rglob(RUN)):
        run = read_run(file.parent)
        if run is not None and run["schedule"] == "single":
            runs[Place(*(run[name] for name in Place._fields))] = file.parent
    divided = {place: folder for place, folder in runs.items() if _whole(place.benchmark) != place.benchmark}
    if not divided:
        raise UserError(
            f"no results of divided records below {out}; make them: mmke run --benchmark mini-entity --benchmark "
            f"mini-entity@split --out {out}"
        )
    return [
        _composition(place, folder, runs.get(place._replace(benchmark=_whole(place.benchmark))))
        for place, folder in sorted(divided.items(), key=lambda item: _floor_first(item[0]))
    ]


def _floor_first(place: Place) -> tuple[Any, ...]:
    """Return where a line stands in the table: the unedited model before the editors of its benchmark."""
    return (*place[:4], place.editor != FLOOR, place.editor, place.seed)


def _whole(benchmark: str) -> str:
    """Return the benchmark whose records are divided."""
    return "+".join(part.partition("@")[0] for part in benchmark.split("+"))


def _composition(place: Place, folder: Path, whole: Path | None) -> Composition:
    of_part = _by_part(folder)
    divided = {case: fmean(values) for case, values in of_part[RELATION].items()}
    joint = {} if whole is None else {case: fmean(values) for case, values in _by_part(whole)[RELATION].items()}
    both = [case for case in divided if case in joint]
    figures = {
        "joint": _estimate([joint[case] for case in both]),
        "divided": _estimate([divided[case] for case in both or divided]),
        "gap": _estimate([joint[case] - divided[case] for case in both]),
        **{part: _estimate([fmean(values) for values in of_part[part].values()]) for part in PARTS},
    }
    return Composition(place, figures)


def _by_part(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return the accuracies of I-Rel and of the questions of each part, by case."""
    cases = read_cases(folder)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in read_finished(folder):
        for row in record.rows:
            if row.value is None or row.probe is None or row.metric != row.kind:
                continue
            part = cases[row.case_id].case.probes[row.probe].tags.get("part")
            for name in {part, row.kind} & {RELATION, *PARTS}:
                found[str(name)][row.case_id].append(row.value)
    return found


def _estimate(values: Sequence[float]) -> Estimate | None:
    if not values:
        return None
    se = 100 * stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return Estimate(100 * fmean(values), se, len(values))


def render_compositions(compositions: Sequence[Composition], form: str) -> str:
    """Return the figures in one of five forms, without a newline at the end.

    Raises:
        UserError: unknown form.
    """
    check_form(form)
    plain = [rounded(each.as_dict()) for each in compositions]
    if form == "json":
        return json_text(plain)
    if form == "csv":
        return csv_text([line for each in plain for line in _csv_lines(each)])
    blocks = groupby(compositions, key=lambda each: each.place[:4])
    return draw([_block(list(block)) for _, block in blocks], form)


def _csv_lines(plain: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    about = {name: plain[name] for name in Place._fields}
    return (about | {"figure": name} | plain[name] for name in FIGURES if plain[name] is not None)


def _block(compositions: Sequence[Composition]) -> TableBlock:
    first = compositions[0].place
    seeds = len({each.place.seed for each in compositions}) > 1
    return TableBlock(
        title=f"{first.backbone} on {first.benchmark}, hop {first.hop}, protocol {first.protocol}: "
        "per cent ± standard error over cases",
        header=("editor", "I-Rel, one edit", "I-Rel, two edits", "gap", *PARTS, "n"),
        lines=tuple(_line(each, seeds=seeds) for each in compositions),
        notes=(NOTE,),
    )


def _line(composition: Composition, *, seeds: bool) -> tuple[str, ...]:
    place, figures = composition.place, composition.figures
    n = figures["divided"]
    return (
        f"{place.editor} (seed {place.seed})" if seeds else place.editor,
        *(_told(figures[name]) for name in FIGURES),
        ABSENT if n is None else str(n.n),
    )


def _told(estimate: Estimate | None) -> str:
    if estimate is None:
        return ABSENT
    return f"{estimate.value:z.1f}" + ("" if estimate.se is None else f" ±{estimate.se:.1f}")

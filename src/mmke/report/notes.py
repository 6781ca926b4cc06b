"""What must be said beneath a table: what its figures leave out, and under what they were made."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from mmke.report.aggregates import MEAN_OF, groups_told
from mmke.report.cells import CellSummary
from mmke.report.conditions import Conditions
from mmke.report.figures import PER_CENT, Figure, Scale
from mmke.report.published import Published

MARK = " †"
"""Behind the name of an editor whose checkpoint was trained on records of this table."""

REASONS = 3
"""How many reasons a note gives at most."""
SEVERAL = 3
"""With more lines than this, what is said of all of them is said without their names."""
COLUMNS = 5
"""How many columns a note names at most; JSON has all."""
ROOM = 100
"""How many characters several reasons may have together."""

Say = Callable[[CellSummary], str | None]
About = TypeVar("About")


def line_name(cell: CellSummary, cells: Sequence[CellSummary]) -> str:
    """Return the name of a cell's line: the editor, and what tells it from other lines of that editor."""
    averages = {other.average for other in cells if (other.editor, other.seed) == (cell.editor, cell.seed)}
    seeds = {other.seed for other in cells}
    about = [*([cell.average] if len(averages) > 1 else []), *([f"seed {cell.seed}"] if len(seeds) > 1 else [])]
    name = f"{cell.editor} ({', '.join(about)})" if about else cell.editor
    return name + MARK if cell.conditions.trained_on else name


def notes_of(
    cells: Sequence[CellSummary], labels: Mapping[str, str], printed: Sequence[Published | None] | None
) -> list[str]:
    """Return the notes of one block.

    Args:
        cells: of the block.
        labels: the heading of each column that is shown.
        printed: the published row of each cell, where these are shown.
    """
    notes = [*unit_notes([cell.scale for cell in cells], labels), *_average_notes(cells)]
    for begin, count in (
        ("unscored records", _unscored),
        ("records averaged without a question that has no score", _partial),
    ):
        for text, lines in _together(cells, lambda cell, count=count: _counted(cell, labels, count)):  # type: ignore[misc]
            what, _, why = text.partition("\n")
            notes.append(f"{begin}: {what} ({lines}){why}")
    for column in MEAN_OF.keys() & labels.keys():
        said = _together(cells, lambda cell, column=column: _groups(cell, column))  # type: ignore[misc]
        notes += [f"{text} ({lines})" for text, lines in said]
    notes += _record_notes(cells)
    notes += [f"answers that the model wrote: {text} ({lines})" for text, lines in _together(cells, _generated)]
    notes += condition_notes([(line_name(cell, cells).removesuffix(MARK), cell.conditions) for cell in cells])
    return notes if printed is None else [*notes, *_published_notes(cells, printed)]


def _together(cells: Sequence[CellSummary], say: Say) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of cells, with the names of all lines of which the same is to be said."""
    yield from together([(line_name(cell, cells).removesuffix(MARK), cell) for cell in cells], say)


def together(named: Sequence[tuple[str, About]], say: Callable[[About], str | None]) -> Iterator[tuple[str, str]]:
    """Yield what is to be said of things with names, with the names of all of which the same is to be said."""
    said: dict[str, list[str]] = {}
    for name, about in named:
        text = say(about)
        if text:
            said.setdefault(text, []).append(name)
    for text, names in said.items():
        everyone = len(names) == len(named) > SEVERAL
        yield text, "all lines" if everyone else ", ".join(names)


def unit_notes(scales: Sequence[Scale], labels: Mapping[str, str]) -> list[str]:
    """Say of which of the columns that are shown the unit is not per cent.

    Args:
        scales: of the lines of a table.
        labels: the heading of each column that is shown.
    """
    units = {
        metric: next((unit for scale in scales if (unit := scale.unit(metric)) != PER_CENT), "") for metric in labels
    }
    return [
        f"in {unit}, not per cent: {', '.join(labels[metric] for metric in labels if units[metric] == unit)}"
        for unit in dict.fromkeys(unit for unit in units.values() if unit)
    ]


def _average_notes(cells: Sequence[CellSummary]) -> list[str]:
    names = [line_name(cell, cells).removesuffix(MARK) for cell in cells if cell.average == "micro"]
    if not names:
        return []
    how = "what is right over what is counted (tokens, ranks) in all records together, as its figures were published"
    return [f"{', '.join(names)}: {how}; all other lines: the mean over records"]


def _unscored(figure: Figure) -> tuple[int, int]:
    return figure.n_unscored, figure.n + figure.n_unscored


def _partial(figure: Figure) -> tuple[int, int]:
    return figure.n_partial, figure.n


def _counted(cell: CellSummary, labels: Mapping[str, str], count: Callable[[Figure], tuple[int, int]]) -> str | None:
    """Say which figures leave something out, in how many of how many records, and behind a line break why."""
    own = cell.metrics.keys() - MEAN_OF.keys()
    counts = {metric: count(cell.metrics[metric]) for metric in labels if metric in own}
    lacking = [metric for metric, (some, _) in counts.items() if some]
    if not lacking:
        return None
    told = columns_told([f"{labels[metric]} {counts[metric][0]} of {counts[metric][1]}" for metric in lacking])
    return f"{told}\n{_why(cell, lacking)}"


def columns_told(columns: Sequence[str]) -> str:
    """Return what is said of columns, of the first few of them, and how many others there are."""
    more = len(columns) - COLUMNS
    return ", ".join([*columns[:COLUMNS], *[f"{more} other column{'s' if more > 1 else ''}"] * (more > 0)])


def _why(cell: CellSummary, metrics: Sequence[str]) -> str:
    """Return the most frequent reasons why columns have rows without a score."""
    reasons = sum((Counter(cell.reasons.get(metric.partition("[")[0], {})) for metric in metrics), Counter[str]())
    told = reasons_told(reasons)
    return f": {told}" if told else ""


def reasons_told(reasons: Counter[str]) -> str:
    """Return the most frequent reasons, as many as a line has room for, and how many others there are."""
    told: list[str] = []
    for reason, _ in reasons.most_common(REASONS):
        if told and len("; ".join([*told, reason])) > ROOM:
            break
        told.append(reason)
    more = len(reasons) - len(told)
    other = f"and {more} other reason{'s' if more > 1 else ''}"
    return "; ".join([*told, *[other] * bool(more)])


def _groups(cell: CellSummary, column: str) -> str | None:
    """Say how many records each of the columns has that a column is the mean of."""
    if column not in cell.metrics:
        return None
    counts = {part: cell.metrics[part].n for part in MEAN_OF[column] if part in cell.metrics}
    return groups_told(column, counts, cell.n, "records")


def _record_notes(cells: Sequence[CellSummary]) -> list[str]:
    """Say where the lines are not of the same records, so that they cannot be compared figure by figure."""
    if len({(cell.n, cell.ids) for cell in cells}) == 1:
        return []
    counts = ", ".join(f"{text} ({lines})" for text, lines in _together(cells, lambda cell: str(cell.n)))
    compare = "compare gains, which are over the floor of the same records (--format json)"
    return [f"the lines are not of the same records: n = {counts}; {compare}"]


def _generated(cell: CellSummary) -> str | None:
    if cell.generated is None:
        return None
    answers, empty, unended = cell.generated
    return f"{empty} of {answers} empty, {unended} of {answers} cut off at their longest length"


def condition_notes(named: Sequence[tuple[str, Conditions]]) -> Iterator[str]:
    """Yield what the conditions of a table's lines, each with its name, leave to be said."""
    if len({device for _, conditions in named for device in conditions.devices}) > 1:
        devices = together(named, lambda conditions: " and ".join(conditions.devices))
        yield f"made on different devices: {'; '.join(f'{text} ({lines})' for text, lines in devices)}"
    for text, lines in together(named, lambda conditions: conditions.shard):
        yield f"a part of a run, shard {text} ({lines}); mmke merge puts the parts together"
    for text, lines in together(named, lambda conditions: ", ".join(conditions.mixed)):
        yield f"made in several starts that differ: {text} ({lines})"
    for _, lines in together(named, lambda conditions: "uncommitted" if conditions.uncommitted else None):
        yield f"made from a checkout with changes that were not committed ({lines})"
    for text, lines in together(named, lambda conditions: str(conditions.trained_on or "")):
        yield f"†: its checkpoint was trained on {text} of these records ({lines})"
    for text, lines in together(named, lambda conditions: str(conditions.chosen_by or "")):
        yield f"its checkpoint was chosen among others by {text} of these records ({lines})"
    for text, lines in together(named, lambda conditions: "; ".join(conditions.deviations)):
        yield f"other than the published code ({lines}): {text}"


def _published_notes(cells: Sequence[CellSummary], printed: Sequence[Published | None]) -> list[str]:
    first = cells[0]
    place = f"{first.backbone} on {first.benchmark}"
    if not any(printed):
        return [f"no published figure for {place}" + (f" at hop {first.hop}" if first.hop > 1 else "")]
    rows = list(zip(cells, printed, strict=True))
    notes = [f"published? ({cell.editor}): doubtful, {row.doubtful}" for cell, row in rows if row and row.doubtful]
    found = {cell.editor for cell, row in rows if row is not None}
    missing = dict.fromkeys(cell.editor for cell in cells if cell.editor not in found)
    if missing:
        notes.append(f"no published figure for {', '.join(missing)} ({place})")
    if first.protocol != "paper":
        notes.append(f"published figures follow protocol paper; ours here follow {first.protocol}")
    return notes

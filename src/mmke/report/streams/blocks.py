"""Tables of streams for people, as plain texts: figures, curves and cost, one line an editor, the floor first.

A table has sections: of the figures one section a figure, with a column for each kind of question; of the curves one
section a kind, with a column for each number of edits. Where several orders lie side by side, a second line has the
range over orders.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from mmke.report.aggregates import HARD_LOC
from mmke.report.blocks import ABSENT, TableBlock
from mmke.report.cells import FLOOR
from mmke.report.figures import PER_CENT
from mmke.report.streams.abilities_block import abilities_blocks
from mmke.report.streams.cost_block import cost_block
from mmke.report.streams.decisions import ACCEPTED, CHOSEN
from mmke.report.streams.health_block import health_block
from mmke.report.streams.naming import line_name, title
from mmke.report.streams.notes import notes_of
from mmke.report.streams.pooled import ColumnFigures, Place, Pooled
from mmke.report.streams.summaries import StreamSummary

FIGURES = {
    "right": "right: straight after the case's own step",
    "final": "final: after the last scored case",
    "forgetting": "forgetting: the best score of a case − its final one",
    "backward_transfer": "backward transfer: final − right, of the cases before the last step",
    "drift": "drift: before the case's own step − the floor",
    "area": "area: mean of the curve over the logarithm of the number of edits",
}
RANGED = ("right", "final")
"""Figures with a second line for the range over orders; of the others it stands in the JSON."""
HALF_LIFE = "half-life: edits until at most half of the first gain over the floor is left"
DECIDED = {
    ACCEPTED: "accepted: questions that the memory took for ones on its edits, after the last scored case",
    CHOSEN: "chosen: questions for which it took the case's own edit",
}
CURVES = {
    "checkpoints": ("by number of edits", "of the cases edited so far"),
    "gaps": ("by gap", "each case asked once, so many further edits after its own step"),
    "ages": ("by age of the edit", "so many further edits after the case's own step, over all checkpoints"),
}
MOST = 8
"""So many columns of a curve fit 120 characters with their errors."""

Line = tuple[str, ...]


def stream_blocks(streams: Sequence[StreamSummary], *, every_metric: bool) -> list[TableBlock]:
    """Return the tables of streams.

    Args:
        streams: in table order.
        every_metric: also the columns beyond the headline kinds.
    """
    groups = groupby(streams, key=lambda stream: stream.key)
    return [block for _, group in groups for block in _of_one_stream(list(group), every_metric=every_metric)]


def _of_one_stream(streams: Sequence[StreamSummary], *, every_metric: bool) -> Iterator[TableBlock]:
    labels = _labels(streams, every_metric=every_metric)
    collapse = any(stream.collapsed for stream in streams)
    first = TableBlock(
        title=f"{title(streams[0])}: per cent ± standard error over cases",
        header=("editor", *labels.values(), "n", *["collapsed"] * collapse),
        lines=tuple(_figure_lines(streams, list(labels), collapse=collapse)),
        notes=tuple(notes_of(streams, labels)),
    )
    # The ages show the same scores as the checkpoints, in another order.
    shown = [curve for curve in CURVES if curve != "ages" or every_metric]
    curves = [block for curve in shown for block in _curve_block(streams, labels, curve)]
    if curves and not first.lines:
        curves[0] = curves[0]._replace(notes=(*curves[0].notes, *first.notes))
    else:
        yield first
    yield from curves
    if any(stream.states for stream in streams):
        yield health_block(streams)
    yield from abilities_blocks(streams)
    if any(stream.cost is not None for stream in streams):
        yield cost_block(streams)


def _curve_block(streams: Sequence[StreamSummary], labels: Mapping[str, str], curve: str) -> Iterator[TableBlock]:
    """Yield the table of a curve, where it has more to show than the figures above."""
    columns = [figures for stream in streams for figures in stream.columns.values()]
    places = sorted({place for figures in columns for place in figures.curves.get(curve, {})})
    if len(places) > 1 or (curve == "gaps" and places and places != [0]):
        what, how = CURVES[curve]
        yield TableBlock(
            title=f"{title(streams[0])}, {what}: per cent{' ± standard error' * (len(places) <= MOST)}",
            header=("editor", *map(str, places)),
            lines=tuple(_curve_lines(streams, labels, curve, places)),
            notes=(how,),
        )


def _labels(streams: Sequence[StreamSummary], *, every_metric: bool) -> dict[str, str]:
    """Return the columns of a table with their headings."""
    kinds = {name: kind for stream in streams for name, kind in stream.scale.kinds.items()}
    present = dict.fromkeys(column for stream in streams for column in stream.columns)
    headline = [name for name, kind in kinds.items() if kind.headline]
    headline += [HARD_LOC] if HARD_LOC in present else []
    shown = [column for name in headline for column in (name, *(m for m in present if m.startswith(f"{name}[")))]
    found = {}
    for column in dict.fromkeys([*shown, *(present if every_metric else ())]):
        name, bracket, rest = column.partition("[")
        found[column] = f"{kinds[name].label if name in kinds else name}{bracket}{rest}"
    return found


def _figure_lines(streams: Sequence[StreamSummary], columns: Sequence[str], *, collapse: bool) -> Iterator[Line]:
    editors = {stream.editor for stream in streams} - {FLOOR}
    for name, heading in FIGURES.items():
        lines, seen = [], set()
        for stream in streams:
            figures = [stream.columns.get(column, ColumnFigures()).figures.get(name) for column in columns]
            cases = max((figure.n for figure in figures if figure is not None), default=0)
            tail = [str(cases), *[_collapsed(stream) if name == "final" else ""] * collapse]
            units = [stream.scale.unit(column) for column in columns]
            lines += _lines(stream, streams, figures, units, tail=tail, ranged=name in RANGED)
            seen |= {stream.editor} if any(figures) else set()
        # Where no editor was asked then, the unedited model, which is the same everywhere, has nothing beside it.
        if seen and (seen != {FLOOR} or not editors):
            yield (heading,)
            yield from lines
    yield from _half_lives(streams, columns, blanks=1 + collapse)
    for decision, heading in DECIDED.items():
        lines = []
        for stream in streams:
            each = [stream.columns.get(f"{column}_{decision}", ColumnFigures()).figures for column in columns]
            figures = [figures.get("final", figures.get("right")) for figures in each]
            lines += _lines(stream, streams, figures, [PER_CENT] * len(columns), tail=[""] * (1 + collapse))
        if lines:
            yield (heading,)
            yield from lines


def _half_lives(streams: Sequence[StreamSummary], columns: Sequence[str], *, blanks: int) -> Iterator[Line]:
    lines = []
    for stream in streams:
        each = [stream.columns.get(column, ColumnFigures()).half_life for column in columns]
        if any(each):
            texts = [ABSENT if half_life is None else str(half_life) for half_life in each]
            lines.append((f"  {line_name(stream, streams)}", *texts, *[""] * blanks))
    if lines:
        yield (HALF_LIFE,)
        yield from lines


def _curve_lines(
    streams: Sequence[StreamSummary], labels: Mapping[str, str], curve: str, places: Sequence[Place]
) -> Iterator[Line]:
    for column, label in labels.items():
        lines = []
        for stream in streams:
            points = stream.columns.get(column, ColumnFigures()).curves.get(curve, {})
            units = [stream.scale.unit(column)] * len(places)
            lines += _lines(stream, streams, [points.get(place) for place in places], units)
        if lines:
            yield (label,)
            yield from lines


def _lines(
    stream: StreamSummary,
    streams: Sequence[StreamSummary],
    figures: Sequence[Pooled | None],
    units: Sequence[str],
    *,
    tail: Sequence[str] = (),
    ranged: bool = False,
) -> list[Line]:
    """Return an editor's line, and a second one with the range over orders where there are several."""
    if not any(figures):
        return []
    with_error = len(figures) <= MOST or bool(tail)
    texts = [_figure(figure, unit, with_error=with_error) for figure, unit in zip(figures, units, strict=True)]
    found: list[Line] = [(f"  {line_name(stream, streams)}", *texts, *tail)]
    if ranged and len(stream.order_seeds) > 1:
        ranges = [_range(figure, unit) for figure, unit in zip(figures, units, strict=True)]
        if any(ranges):
            found.append(("    over orders", *ranges, *[""] * len(tail)))
    return found


def _figure(figure: Pooled | None, unit: str, *, with_error: bool) -> str:
    if figure is None:
        return ABSENT
    digits = 1 if unit == PER_CENT else 3
    value = f"{figure.value:z.{digits}f}"
    return value if figure.se is None or not with_error else f"{value} ±{figure.se:.{digits}f}"


def _range(figure: Pooled | None, unit: str) -> str:
    digits = 1 if unit == PER_CENT else 3
    low, high = ("", "") if figure is None else (f"{figure.low:z.{digits}f}", f"{figure.high:z.{digits}f}")
    if low == high:
        return ""
    return f"{low} to {high}" if low.startswith("-") else f"{low}–{high}"


def _collapsed(stream: StreamSummary) -> str:
    """Return after how many edits a model collapsed; with several orders the first of them, and how many did."""
    if not stream.collapsed:
        return ""
    first = f"{min(each.edits_applied for each in stream.collapsed)}"
    orders = len(stream.order_seeds)
    return first if orders == 1 else f"{first} ({len(stream.collapsed)} of {orders})"

"""Locality against reliability: does an editor write the new knowledge, and does it leave everything else alone?

Two panels, text and picture. The unedited model stands at full locality and at its floor; the ideal is the upper right
corner.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mmke.report.charts.intervals import clipped, told
from mmke.report.charts.look import FAINT, GREY, INK, Look, colour, data, shape
from mmke.report.charts.placing import place
from mmke.report.page.blocks import Block, TableLine, plain_name

PAIRS = (("t_rel", "t_loc"), ("i_rel", "i_loc"))
LOW, HIGH = -4.0, 104.0
"""Of both axes: the corner's mark is not cut."""


def tradeoff(alt: Any, block: Block, names: Sequence[str], look: Look) -> list[Any]:
    """Return the panels of a block; none where no editor has both figures."""
    return [
        _panel(alt, block, pair, names, look)
        for pair in PAIRS
        if set(pair) <= block.labels.keys() and any(_both(line, pair) for line in block.edited)
    ]


def _panel(alt: Any, block: Block, pair: tuple[str, str], names: Sequence[str], look: Look) -> Any:
    reliability, locality = pair
    lines = [line for line in block.edited if _both(line, pair)]
    rows = [_row(line, pair, block) for line in lines]
    floors = [_row(line, pair, block) for line in block.lines if line.is_floor and _both(line, pair)]
    domain = alt.Scale(domain=[LOW, HIGH], nice=False)
    axis = alt.Axis(values=[0, 20, 40, 60, 80, 100], tickSize=3, labelOverlap=False)
    across = {"title": f"{block.labels[reliability]}, per cent", "scale": domain, "axis": axis}
    up = {"title": f"{block.labels[locality]}, per cent", "scale": domain, "axis": axis}
    x, y = alt.X("x:Q", **across), alt.Y("y:Q", **up)
    tone, form = colour(alt, names), shape(alt, names)
    ideal = [{"x": 100, "y": 100, "told": "ideal: everything is written, nothing else moves"}]
    labelled = [*rows, *({**row, "name": "unedited model"} for row in floors[:1]), {**ideal[0], "name": "ideal"}]
    layers = [
        data(alt, floors).mark_rule(strokeDash=[4, 4], color=FAINT).encode(x=x),
        data(alt, [row for row in rows if "low" in row])
        .mark_rule(opacity=0.4, strokeWidth=1.1)
        .encode(x=alt.X("low:Q", **across), x2="high:Q", y=y, color=tone),
        data(alt, [row for row in rows if "below" in row])
        .mark_rule(opacity=0.4, strokeWidth=1.1)
        .encode(x=x, y=alt.Y("below:Q", **up), y2="above:Q", color=tone),
        *_labels(alt, labelled, look, x, y),
        data(alt, ideal)
        .mark_text(text="★", fontSize=look.size * 1.5, color=GREY)
        .encode(x=x, y=y, description="told:N"),
        data(alt, floors)
        .mark_point(shape="diamond", size=look.mark * 1.3, color=GREY, strokeWidth=1.8, fill="white", opacity=1)
        .encode(x=x, y=y, description="told:N"),
        data(alt, rows)
        .mark_point(filled=True, size=look.mark, opacity=1, stroke="white", strokeWidth=0.7)
        .encode(x=x, y=y, color=tone, shape=form, description="told:N"),
    ]
    return alt.layer(*layers).properties(width=look.width, height=look.height)


def _labels(alt: Any, rows: Sequence[dict[str, Any]], look: Look, x: Any, y: Any) -> Iterator[Any]:
    points = [_pixels(row, look) for row in rows]
    placed = place(points, [row["name"] for row in rows], width=look.width, height=look.height, size=look.size - 1)
    named = [
        {**row, "at": spot.x, "down": spot.y, "leader": spot.leader, "end": _end(row, spot.x, look)}
        for row, spot in zip(rows, placed, strict=True)
    ]
    for row in named:
        if row["leader"]:
            yield (
                data(alt, [row])
                .mark_rule(color=FAINT, strokeWidth=0.8)
                .encode(x=x, y=y, x2=alt.value(row["end"]), y2=alt.value(row["down"]))
            )
        # A white edge below the letters keeps them readable on a line.
        for edge in ({"stroke": "white", "strokeWidth": 3}, {}):
            yield (
                data(alt, [row])
                .mark_text(align="left", baseline="middle", fontSize=look.size - 1, color=INK, **edge)
                .encode(x=alt.value(row["at"]), y=alt.value(row["down"]), text="name:N")
            )


def _end(row: dict[str, Any], at: float, look: Look) -> float:
    """Return where a line to a name ends: at its side that is nearer to the point."""
    width = 0.62 * (look.size - 1) * len(row["name"])
    x = _pixels(row, look)[0]
    return at - 2 if x < at else at + width + 2 if x > at + width else x


def _pixels(row: dict[str, Any], look: Look) -> tuple[float, float]:
    across = (row["x"] - LOW) / (HIGH - LOW)
    up = (row["y"] - LOW) / (HIGH - LOW)
    return across * look.width, (1 - up) * look.height


def _both(line: TableLine, pair: tuple[str, str]) -> bool:
    figures = [line.cell.metrics.get(name) for name in pair]
    return all(figure is not None and figure.value is not None for figure in figures)


def _row(line: TableLine, pair: tuple[str, str], block: Block) -> dict[str, Any]:
    x, y = (line.cell.metrics[name] for name in pair)
    labels = [block.labels[name] for name in pair]
    up = clipped(y.value, y.se, y.n)
    return {
        "name": plain_name(line),
        "x": x.value,
        "y": y.value,
        **clipped(x.value, x.se, x.n),
        **({"below": up["low"], "above": up["high"]} if up else {}),
        "told": f"{plain_name(line)}: {labels[0]} {told(x)}; {labels[1]} {told(y)}",
    }

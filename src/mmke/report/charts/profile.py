"""The headline metrics by editor, with intervals and the floor: one panel a metric, one line an editor.

The same panels show other figures too: I-Gen by drawing style, and what is forced against what is freely written. Then
a line has several marks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mmke.report.charts.intervals import clipped, told
from mmke.report.charts.look import COLOURS, FAINT, GREY, SHAPES, Look, colour, data, shape
from mmke.report.figures import PER_CENT
from mmke.report.page.blocks import Block, plain_name

LINE = 1.9
"""Height of a line by the height of the text."""
APART = 0.62
"""Between two marks of one line, by the height of the text."""


def profile(alt: Any, block: Block, names: Sequence[str], look: Look) -> list[Any]:
    """Return the panels of the headline metrics of a block."""
    return [
        _panel(alt, block, {name: ""}, label, names, look) for name, label in block.labels.items() if _any(block, name)
    ]


def written(alt: Any, block: Block, names: Sequence[str], look: Look) -> list[Any]:
    """Return the panels of forced and freely written answers; none where the models wrote nothing."""
    panels = []
    for name, label in block.labels.items():
        marks = {name: "tokens right, gold answer forced", f"{name}_f1": "token F1, freely written"}
        marks |= {f"{name}_em": "exact match, freely written"}
        if all(_any(block, column) for column in marks):
            panels.append(_panel(alt, block, marks, label, names, look))
    return panels


def styles(alt: Any, block: Block, names: Sequence[str], look: Look) -> list[Any]:
    """Return the panel of I-Gen by drawing style; none where probes have no styles."""
    found = [name for line in block.lines for name in line.cell.metrics if name.startswith("i_gen[")]
    marks = {name: name[len("i_gen[") : -1].replace("-", " ") for name in sorted(dict.fromkeys(found))}
    label = f"{block.labels.get('i_gen', 'I-Gen')} by drawing style"
    return [_panel(alt, block, marks, label, names, look)] if len(marks) > 1 else []


def _any(block: Block, column: str) -> bool:
    figures = [line.cell.metrics.get(column) for line in block.edited or block.lines]
    return any(figure is not None and figure.value is not None for figure in figures)


def _panel(alt: Any, block: Block, marks: Mapping[str, str], label: str, names: Sequence[str], look: Look) -> Any:
    """Return one panel: `marks` are the columns that it shows, each with its word in the key."""
    rows = _rows(block, marks, label)
    unit = block.first.scale.unit(next(iter(marks)))
    domain = [0.0, 100.0] if unit == PER_CENT else [min(0.0, *(r["v"] for r in rows)), max(r["v"] for r in rows)]
    ordered = list(dict.fromkeys(plain_name(line) for line in block.lines))
    several = len(marks) > 1
    step = look.size * (LINE + (len(marks) - 1) * APART)
    axis = alt.Axis(tickCount=5, tickSize=3, labelFlush=True)
    x = alt.X("v:Q", title=unit, scale=alt.Scale(domain=domain, nice=False), axis=axis)
    names_axis = alt.Axis(domain=False, ticks=False, labelPadding=8, grid=False, title=None)
    y = alt.Y("name:N", sort=ordered, axis=names_axis, scale=alt.Scale(padding=0.2))
    tone, form = _by_mark(alt, marks, look) if several else _by_name(alt, block, names)
    layers = []
    for offset, (column, _) in enumerate(marks.items()):
        own = [row for row in rows if row["column"] == column]
        shift = (offset - (len(marks) - 1) / 2) * look.size * APART
        floors = [row for row in own if row["floor"]]
        if not several:
            layers.append(data(alt, floors[:1]).mark_rule(strokeDash=[4, 4], color=FAINT).encode(x=x))
        layers.append(
            data(alt, [row for row in own if "low" in row])
            .mark_rule(strokeWidth=1.6, opacity=0.55, yOffset=shift)
            .encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=tone)
        )
        layers.append(
            data(alt, own)
            .mark_point(filled=True, size=look.mark, opacity=1, yOffset=shift)
            .encode(x=x, y=y, color=tone, shape=form, description="told:N")
        )
    width = int(look.width * (0.8 if several else 0.7))
    return alt.layer(*layers).properties(width=width, height=int(step * len(ordered)), title=label)


def _rows(block: Block, marks: Mapping[str, str], label: str) -> list[dict[str, Any]]:
    found = []
    for line in block.lines:
        for column, mark in marks.items():
            figure = line.cell.metrics.get(column)
            if figure is None or figure.value is None:
                continue
            percent = line.cell.scale.unit(column) == PER_CENT
            name = plain_name(line)
            found.append(
                {
                    "name": name,
                    "column": column,
                    "mark": mark,
                    "v": figure.value,
                    "floor": line.is_floor,
                    **(clipped(figure.value, figure.se, figure.n) if percent else {}),
                    "told": f"{name}, {label}{', ' * bool(mark)}{mark}: {told(figure)}",
                }
            )
    return found


def _by_mark(alt: Any, marks: Mapping[str, str], look: Look) -> tuple[Any, Any]:
    """Return the colour and the shape of marks of several columns, with a key."""
    legend = alt.Legend(title=None, orient="bottom", direction="vertical", labelLimit=300, symbolSize=look.mark)
    tone = alt.Color("mark:N", scale=_fixed(alt, marks.values(), COLOURS), legend=legend)
    return tone, alt.Shape("mark:N", scale=_fixed(alt, marks.values(), SHAPES), legend=legend)


def _by_name(alt: Any, block: Block, names: Sequence[str]) -> tuple[Any, Any]:
    """Return the colour and the shape of marks of one column: those of the editors, and grey for the floor."""
    known = [*names, *(plain_name(line) for line in block.lines if line.is_floor)]
    return alt.condition("datum.floor", alt.value(GREY), colour(alt, known)), shape(alt, known)


def _fixed(alt: Any, values: Any, range_: Sequence[str]) -> Any:
    domain = list(values)
    return alt.Scale(domain=domain, range=list(range_[: len(domain)]))

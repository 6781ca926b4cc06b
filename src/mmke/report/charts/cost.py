"""What an edit costs against what it gains: seconds and memory to the right, the gain of I-Rel upwards."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmke.counting import counted
from mmke.report.blocks import GIB
from mmke.report.charts.intervals import interval
from mmke.report.charts.look import FAINT, INK, Look, colour, data, shape
from mmke.report.page.blocks import Block, TableLine, plain_name

GAIN = "i_rel"
LEAST = 0.001
"""Seconds: what takes less stands there, since the axis is logarithmic."""


def cost(alt: Any, block: Block, names: Sequence[str], look: Look) -> list[Any]:
    """Return the panels of a block; none where nothing has both a gain and a cost."""
    rows = [row for line in block.edited if (row := _row(line)) is not None]
    panels = []
    if any(row["seconds"] is not None for row in rows):
        panels.append(_panel(alt, rows, ("seconds", "seconds an edit (logarithmic)"), names, look))
    if any(row["memory"] is not None for row in rows):
        kind = next((line.cell.memory for line in block.edited if line.cell.memory), "")
        panels.append(_panel(alt, rows, ("memory", f"peak memory, GiB ({kind})"), names, look))
    return panels


def _panel(alt: Any, rows: Sequence[dict[str, Any]], axis: tuple[str, str], names: Sequence[str], look: Look) -> Any:
    """Return one panel; `axis` is the field of the horizontal axis and its title. Seconds are logarithmic."""
    field, title = axis
    own = [row for row in rows if row[field] is not None]
    x = alt.X(
        f"{field}:Q",
        title=title,
        scale=_scale(alt, [row[field] for row in own], logarithmic=field == "seconds"),
        axis=alt.Axis(tickCount=4, format="~g", tickSize=3),
    )
    least = min([0.0, *(row.get("low", row["gain"]) for row in own)])
    most = max([10.0, *(row.get("high", row["gain"]) for row in own)])
    y = alt.Y("gain:Q", title="gain of I-Rel, points", scale=alt.Scale(domain=[least, most], nice=True))
    tone, form = colour(alt, names), shape(alt, names)
    layers = [
        data(alt, [{"zero": 0}]).mark_rule(strokeDash=[4, 4], color=FAINT).encode(y=alt.Y("zero:Q")),
        data(alt, [row for row in own if "low" in row])
        .mark_rule(opacity=0.4, strokeWidth=1.1)
        .encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=tone),
        data(alt, own)
        .mark_point(filled=True, size=look.mark, opacity=1)
        .encode(x=x, y=y, color=tone, shape=form, description="told:N"),
        *_key(alt, own, names, look),
    ]
    return alt.layer(*layers).properties(width=int(look.width * 0.85), height=look.height)


def _scale(alt: Any, values: Sequence[float], *, logarithmic: bool) -> Any:
    if logarithmic:
        return alt.Scale(type="log", domain=[min(values) / 1.6, max(values) * 1.6], nice=False)
    return alt.Scale(domain=[0, max(values) * 1.08], nice=False)


def _key(alt: Any, rows: Sequence[dict[str, Any]], names: Sequence[str], look: Look) -> Iterator[Any]:
    """Yield the names with their marks, in a column at the right, in the order of the gains."""
    room = look.size * 1.35
    bottom = (look.height + room * (len(rows) - 1)) / 2
    for index, row in enumerate(sorted(rows, key=lambda row: row["gain"])):
        at = {"x": alt.value(look.width + 14), "y": alt.value(bottom - room * index)}
        yield (
            data(alt, [row])
            .mark_point(filled=True, size=look.mark * 0.8, opacity=1)
            .encode(**at, color=colour(alt, names), shape=shape(alt, names))
        )
        yield (
            data(alt, [row])
            .mark_text(align="left", baseline="middle", dx=look.size * 0.7, fontSize=look.size - 1, color=INK)
            .encode(**at, text="name:N")
        )


def _row(line: TableLine) -> dict[str, Any] | None:
    figure, cell = line.cell.metrics.get(GAIN), line.cell
    if figure is None or figure.gain is None:
        return None
    ends = interval(figure.gain, figure.gain_se, figure.n)
    memory = None if cell.peak_memory_bytes is None else cell.peak_memory_bytes / GIB
    name = plain_name(line)
    about = [f"{cell.seconds_per_edit:.3f} seconds an edit"] if cell.seconds_per_edit is not None else []
    about += [f"{memory:.2f} GiB at the peak"] if memory is not None else []
    about.append(counted(figure.n, "record"))
    return {
        "name": name,
        "gain": figure.gain,
        "seconds": None if cell.seconds_per_edit is None else max(cell.seconds_per_edit, LEAST),
        "memory": memory,
        **({} if ends is None else {"low": max(ends[0], -100.0), "high": min(ends[1], 100.0)}),
        "told": f"{name}: I-Rel gains {figure.gain:+.1f} points over the floor, {', '.join(about)}",
    }

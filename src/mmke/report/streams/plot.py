"""Forgetting curves as a picture: what is kept, by the number of edits, one panel a kind and one line an editor.

Each line is named at its end. Colours and shapes are those of all plots (`charts/look.py`). Needs the extra
`mmke[report]`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import log1p
from pathlib import Path
from typing import Any, Literal

from mmke.counting import counted
from mmke.errors import UserError, did_you_mean
from mmke.report.cells import FLOOR
from mmke.report.charts.look import FONT, GREY, GRID, INK, altair, colour, shape
from mmke.report.figures import PER_CENT
from mmke.report.streams.curves import Bin
from mmke.report.streams.naming import title
from mmke.report.streams.pooled import ColumnFigures
from mmke.report.streams.summaries import StreamSummary

FORMS = (".svg", ".png")
WIDTH, HEIGHT, IN_A_ROW = 230, 190, 3
ROOM = 0.14
"""Share of the horizontal axis between two numbers under it."""
APART = 7.0
"""Per cent of the axis between two names at the ends of lines."""

Curve = Literal["checkpoints", "gaps", "ages"]
AXES: Mapping[Curve, str] = {
    "checkpoints": "edits in the model",
    "gaps": "further edits after the case's own",
    "ages": "further edits after the case's own, over all checkpoints",
}


def save_plot(
    streams: Sequence[StreamSummary], file: Path, *, columns: Sequence[str] = (), curve: Curve = "checkpoints"
) -> None:
    """Draw the curves of streams into a file.

    Args:
        streams: in the order of `read_streams`; each stream has rows of panels of its own.
        file: its name ends in .svg or .png.
        columns: such as `i_rel`, one panel each; none: the headline kinds.
        curve: by the number of edits in the model, or by gap.

    Raises:
        UserError: another ending, an unknown column, nothing to draw, altair is not installed, or the file cannot be
            written.
    """
    if file.suffix not in FORMS:
        raise UserError(f"--out {file}: give a name that ends in {' or '.join(FORMS)}")
    alt = altair()
    picture = stream_chart(alt, streams, columns=columns, curve=curve)
    if picture is None:
        kind, moments = ("checkpoint", "at:1,3,10,end") if curve == "checkpoints" else ("gap", "right,gap:1,3,10")
        raise UserError(f"no stream has a curve by {kind} to draw; make one: mmke stream --score {moments}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(str(file), scale_factor=2 if file.suffix == ".png" else 1)
    except OSError as error:
        raise UserError(f"cannot write {file} ({error.strerror}); choose another --out") from error


def stream_chart(
    alt: Any, streams: Sequence[StreamSummary], *, columns: Sequence[str] = (), curve: Curve, titled: bool = True
) -> Any | None:
    """Return the curves of streams as one chart; None where there is nothing to draw.

    Args:
        alt: the library.
        streams: in the order of `read_streams`.
        columns: one panel each; none: the headline kinds.
        curve: by what.
        titled: whether each stream's name stands above its panels.

    Raises:
        UserError: an unknown column.
    """
    groups = [list(group) for _, group in groupby(streams, key=lambda stream: stream.key)]
    parts = [part for group in groups if (part := _stream(alt, group, columns, curve, titled=titled)) is not None]
    if not parts:
        return None
    picture = alt.vconcat(*parts, spacing=30, background="white", padding=12).configure(font=FONT)
    return picture.configure_view(stroke=None).configure_axis(
        labelColor=INK, titleColor=INK, gridColor=GRID, domainColor=GREY, tickColor=GREY, titleFontWeight="normal"
    )


def _stream(alt: Any, streams: Sequence[StreamSummary], columns: Sequence[str], curve: Curve, *, titled: bool) -> Any:
    """Return the panels of one stream; None where it has no such curve."""
    panels = [
        _panel(alt, streams, column, label, curve)
        for column, label in _labels(streams, columns).items()
        if any(len(_points(stream, column, curve)) > 1 for stream in streams if stream.editor != FLOOR)
    ]
    if not panels:
        return None
    orders = max(len(stream.order_seeds) for stream in streams)
    about = ["mean over the cases edited so far" if curve == "checkpoints" else "mean over cases"]
    about += [f"band: range over {orders} orders"] if orders > 1 else []
    about += ["dashed: unedited model"] if any(stream.editor == FLOOR for stream in streams) else []
    rows = [alt.hconcat(*panels[at : at + IN_A_ROW], spacing=18) for at in range(0, len(panels), IN_A_ROW)]
    head = alt.TitleParams(
        title(streams[0]),
        subtitle="; ".join(about),
        anchor="start",
        fontSize=13,
        color=INK,
        subtitleColor=GREY,
        offset=14,
    )
    return alt.vconcat(*rows, spacing=22, title=head) if titled else alt.vconcat(*rows, spacing=22)


def _labels(streams: Sequence[StreamSummary], columns: Sequence[str]) -> dict[str, str]:
    """Return the columns to draw with their headings.

    Raises:
        UserError: a stream has no such column.
    """
    kinds = {name: kind for stream in streams for name, kind in stream.scale.kinds.items()}
    known = dict.fromkeys(column for stream in streams for column in stream.columns)
    for column in columns:
        if column not in known:
            raise UserError(f"no column {column!r}{did_you_mean(column, known)}; there are {', '.join(known)}")
    chosen = columns or [name for name, kind in kinds.items() if kind.headline and name in known]
    return {column: kinds[column].label if column in kinds else column for column in chosen}


def _points(stream: StreamSummary, column: str, curve: Curve) -> Mapping[Any, Any]:
    return stream.columns.get(column, ColumnFigures()).curves.get(curve, {})


def _panel(alt: Any, streams: Sequence[StreamSummary], column: str, label: str, curve: Curve) -> Any:
    """Return one panel: bands, lines with points, the floor, and a name at the end of each line."""
    editors = list(dict.fromkeys(stream.editor for stream in streams if stream.editor != FLOOR))
    rows = [row for stream in streams for row in _rows(stream, column, label, curve)]
    ticks = sorted({row["x"] for row in rows if row["editor"] != FLOOR})
    unit = streams[0].scale.unit(column)
    top = 100.0 if unit == PER_CENT else max(row["high"] for row in rows)
    x = alt.X(
        "x:Q",
        title=AXES[curve],
        scale=alt.Scale(type="log" if ticks[0] > 0 else "symlog", domain=[ticks[0], ticks[-1]], nice=False),
        axis=alt.Axis(values=_ticks(ticks), format="~g", grid=False, labelOverlap=False),
    )
    y = alt.Y("y:Q", title=unit, scale=alt.Scale(domain=[min(0.0, *(row["low"] for row in rows)), top]))
    tone, form = colour(alt, editors, "editor"), shape(alt, editors, "editor")
    own = alt.Chart(alt.Data(values=[row for row in rows if row["editor"] != FLOOR]))
    floor = alt.Chart(alt.Data(values=[row for row in rows if row["editor"] == FLOOR and row["x"] in ticks]))
    ends = alt.Chart(alt.Data(values=list(_ends(rows, top))))
    right = alt.value(WIDTH + 24)
    named = alt.Chart(alt.Data(values=[row for row in _ends(rows, top) if row["editor"] != FLOOR]))
    layers = [
        own.mark_area(opacity=0.16).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=tone),
        floor.mark_line(color=GREY, strokeDash=[5, 4]).encode(x=x, y=y),
        own.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=tone),
        own.mark_point(filled=True, size=38, opacity=1).encode(x=x, y=y, color=tone, shape=form, description="told:N"),
        ends.mark_rule(strokeWidth=0.8, color="#AAAAAA").encode(x=x, x2=right, y=y, y2="name_y:Q"),
        named.mark_point(filled=True, size=38, opacity=1).encode(x=right, y=alt.Y("name_y:Q"), color=tone, shape=form),
        ends.mark_text(align="left", dx=7, fontSize=10, color=INK).encode(
            x=right, y=alt.Y("name_y:Q"), text="editor:N"
        ),
    ]
    return alt.layer(*layers).properties(
        width=WIDTH, height=HEIGHT, title=alt.TitleParams(label, fontSize=12, color=INK)
    )


def _ticks(places: Sequence[float]) -> list[float]:
    """Return the places that can have a number under the axis: the last one, and those that its number leaves room."""
    heights = [log1p(place) for place in places]
    room = ROOM * (heights[-1] - heights[0])
    found: list[float] = []
    for place in reversed(places):
        if not found or log1p(found[-1]) - log1p(place) >= room:
            found.append(place)
    return found[::-1]


def _rows(stream: StreamSummary, column: str, label: str, curve: Curve) -> Iterator[dict[str, Any]]:
    for place, point in _points(stream, column, curve).items():
        x = (place.low + place.high) / 2 if isinstance(place, Bin) else float(place)
        told = f"{stream.editor}, {label}: {point.value:.1f} at {x:g} {AXES[curve]}, {counted(point.n, 'case')}"
        yield {"editor": stream.editor, "x": x, "y": point.value, "low": point.low, "high": point.high, "told": told}


def _ends(rows: Sequence[Mapping[str, Any]], top: float) -> Iterator[dict[str, Any]]:
    """Yield the last point of each line with the height of its name, so that no two names lie on each other."""
    last = {row["editor"]: row for row in sorted(rows, key=lambda row: row["x"])}
    ends = sorted(last.values(), key=lambda row: row["y"])
    yield from (
        {**row, "name_y": height} for row, height in zip(ends, spread([row["y"] for row in ends], top), strict=True)
    )


def spread(heights: Sequence[float], top: float) -> list[float]:
    """Return heights in their order, moved apart as little as needed, within 0 and the top.

    Args:
        heights: from the lowest up.
        top: of the axis, of which `APART` per cent lie between two names.
    """
    gap = min(APART * top / 100, top / max(len(heights) - 1, 1))
    found: list[float] = []
    for height in heights:
        found.append(max(height, found[-1] + gap) if found else height)
    limit = top
    for index in range(len(found) - 1, -1, -1):
        found[index] = min(found[index], limit)
        limit = found[index] - gap
    return found

"""How all plots look: colours, shapes, sizes for a page and for a paper; from a chart to SVG, PNG or PDF.

Each editor has a colour, of Okabe and Ito or of Tol, which colour-blind readers tell apart, and a shape; an editor of
this package has the same ones in every report. The ground is white on dark pages too. Needs the extra `mmke[report]`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal

from mmke.errors import UserError

COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8C564B"),
    *("#117733", "#882255", "#44AA99", "#999933", "#661100", "#332288"),
)
STAR = "M0,-1L.22,-.31L.95,-.31L.36,.12L.59,.81L0,.38L-.59,.81L-.36,.12L-.95,-.31L-.22,-.31Z"
HEXAGON = "M-.5,-.87L.5,-.87L1,0L.5,.87L-.5,.87L-1,0Z"
HOURGLASS = "M-.8,-.8L.8,-.8L-.8,.8L.8,.8Z"
BOW_TIE = "M-.8,-.8L.8,.8L.8,-.8L-.8,.8Z"
SHAPES = (
    *("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"),
    *(STAR, HEXAGON, HOURGLASS, BOW_TIE, "wedge", "arrow"),
)
EDITORS = (
    "ft-alignment",
    "ft-llm",
    "ike",
    "ike-random",
    "ke",
    "mend",
    "serac",
    "lora",
    "ultraedit",
    "m-ore",
    "wise",
    "gated-note",
)
"""Have the first colours and shapes, in this order, whatever else a report shows."""
GREY, INK, GRID, FAINT = "#5b6470", "#1c2128", "#e7e7e7", "#b3b8bf"
FONT = "DejaVu Sans, Verdana, sans-serif"
"""vl-convert measures text with this font; where a reader's machine lacks it, Verdana has the same widths."""

Form = Literal["svg", "png", "pdf"]
MARKED = re.compile(r"<(\w+)([^<>]*?aria-label=\"([^\"]*)\"[^<>]*?)/>")
"""A mark with a text for screen readers. A picture has no tooltips of its own: they come from <title>."""


@dataclass(frozen=True, slots=True)
class Look:
    """Sizes in pixels, which are points in a PDF.

    Attributes:
        width: of a chart with one panel.
        height: of the same.
        columns: how many panels stand side by side.
        size: of the text.
        mark: area of a mark.
    """

    width: int
    height: int
    columns: int
    size: int
    mark: int


PAGE = Look(width=300, height=270, columns=1, size=12, mark=70)
PAPER = Look(width=185, height=165, columns=2, size=8, mark=34)
"""Two panels take the width of a page in two columns, one panel that of a column (about 240 points with its axis)."""


def altair() -> Any:
    """Return the library.

    Raises:
        UserError: it is not installed.
    """
    try:
        import altair as alt
        import vl_convert  # noqa: F401  # draws the charts
    except ModuleNotFoundError as error:
        raise UserError(f"plots need {error.name}: pip install 'mmke[report]'") from error
    return alt


def data(alt: Any, rows: Sequence[dict[str, Any]]) -> Any:
    """Return a chart of rows, without a mark."""
    return alt.Chart(alt.Data(values=list(rows)))


def colour(alt: Any, names: Sequence[str], field: str = "name") -> Any:
    """Return the colour of each name that a field of the rows holds."""
    return alt.Color(f"{field}:N", legend=None, scale=_scale(alt, names, COLOURS))


def shape(alt: Any, names: Sequence[str], field: str = "name") -> Any:
    """Return the shape of each name that a field of the rows holds."""
    return alt.Shape(f"{field}:N", legend=None, scale=_scale(alt, names, SHAPES))


def _scale(alt: Any, names: Sequence[str], values: Sequence[str]) -> Any:
    return alt.Scale(domain=list(names), range=[values[place] for place in places(names)])


def places(names: Sequence[str]) -> list[int]:
    """Return which colour and shape each name has: a known editor its own, others what is left, in their order.

    Of several lines of one editor, such as `ft-llm (seed 0)` and `ft-llm (seed 1)`, the first has the editor's own.
    """
    own: dict[str, int] = {}
    for name in names:
        editor = name.partition(" (")[0]
        if editor in EDITORS and EDITORS.index(editor) not in own.values():
            own[name] = EDITORS.index(editor)
    left = [*range(len(EDITORS), len(COLOURS)), *(each for each in range(len(EDITORS)) if each not in own.values())]
    others = cycle(left)
    return [own[name] if name in own else next(others) for name in names]


def dressed(alt: Any, panels: Sequence[Any], look: Look) -> Any:
    """Return panels as one chart with the colours and texts that all have."""
    chart = alt.concat(*panels, columns=look.columns, spacing=look.size * 2, background="white", padding=6)
    return (
        chart.configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=INK,
            gridColor=GRID,
            domainColor=FAINT,
            tickColor=FAINT,
            titleFontWeight="normal",
            labelFontSize=look.size - 1,
            titleFontSize=look.size,
            labelLimit=400,
        )
        .configure_title(fontSize=look.size, color=INK, anchor="start", fontWeight="bold", offset=6)
        .configure_legend(labelFontSize=look.size - 1, titleFontSize=look.size - 1, labelColor=INK, titleColor=INK)
    )


def to_svg(chart: Any) -> str:
    """Return a chart as SVG whose marks tell their values to a pointer and to a screen reader."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(chart.to_dict())
    # The text of an attribute is escaped for an element as well.
    return MARKED.sub(r"<\1\2><title>\3</title></\1>", svg)


def to_bytes(chart: Any, form: Form) -> bytes:
    """Return a chart as a file."""
    import vl_convert

    if form == "svg":
        return to_svg(chart).encode()
    if form == "png":
        return bytes(vl_convert.vegalite_to_png(chart.to_dict(), scale=3))
    return bytes(vl_convert.vegalite_to_pdf(chart.to_dict()))

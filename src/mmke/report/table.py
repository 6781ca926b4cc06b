"""From cells to a table: text, JSON, CSV, LaTeX or Markdown.

Text, LaTeX and Markdown are for people: headline figures, rounded. JSON (a list of `CellSummary.as_dict`) and CSV (one
line per metric) are for programs: every metric, with gains over the floor.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmke.errors import UserError
from mmke.report.blocks import TableBlock, make_blocks
from mmke.report.cells import CellSummary
from mmke.report.published import published_rows

DECIMALS = 6

_LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"\ensuremath{\pm}",
        "–": "--",
        "†": r"\ensuremath{\dagger}",
        "−": r"\ensuremath{-}",
        ">": r"\ensuremath{>}",
        "<": r"\ensuremath{<}",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)


def render(cells: Sequence[CellSummary], form: str, *, published: bool = False, every_metric: bool = False) -> str:
    """Return the cells in one of five forms, without a newline at the end.

    Args:
        cells: in the order of `read_cells`.
        form: "text", "json", "csv", "latex" or "markdown".
        published: put the paper's printed figures beside ours.
        every_metric: in the forms for people, show more than the headline six; the others always do.

    Raises:
        UserError: unknown form.
    """
    if form == "json":
        return _json(cells, published=published)
    if form == "csv":
        return _csv(cells, published=published)
    check_form(form)
    return draw(make_blocks(cells, published=published, every_metric=every_metric), form)


def check_form(form: str) -> None:
    """Refuse a form that there is not.

    Raises:
        UserError: the message names those that there are.
    """
    if form not in (*_DRAW, "json", "csv"):
        raise UserError(f"unknown format {form!r}; there are {', '.join([*_DRAW, 'json', 'csv'])}")


def draw(blocks: Sequence[TableBlock], form: str) -> str:
    """Return tables for people as "text", "latex" or "markdown"."""
    return "\n\n".join(_DRAW[form](block) for block in blocks)


def _json(cells: Sequence[CellSummary], *, published: bool) -> str:
    plain = [rounded(cell.as_dict()) for cell in cells]
    if published:
        for cell, row in zip(plain, published_rows(cells), strict=True):
            cell["published"] = None if row is None else row.as_dict()
    return json_text(plain)


def json_text(plain: Any) -> str:
    """Return plain data as JSON for programs."""
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)


def rounded(plain: Any) -> Any:
    """Return plain data with its numbers rounded."""
    if isinstance(plain, Mapping):
        return {key: rounded(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [rounded(value) for value in plain]
    return round(plain, DECIMALS) + 0.0 if isinstance(plain, float) else plain


def _csv(cells: Sequence[CellSummary], *, published: bool) -> str:
    lines: list[dict[str, Any]] = []
    for cell, row in zip(cells, published_rows(cells), strict=True):
        whole = rounded(cell.as_dict())
        metrics = whole.pop("metrics")
        about = {"records" if key == "n" else key: value for key, value in whole.items()}
        for metric, figure in metrics.items():
            line = about | {"metric": metric, "unit": cell.scale.unit(metric)} | figure
            if published:
                line["published"] = row.figures.get(metric) if row else None
                line["doubtful"] = row.doubtful if row else None
            lines.append(line)
    return csv_text(lines)


def csv_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return lines with the same keys as comma-separated values under a header."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue().rstrip("\n")


def _text(block: TableBlock) -> str:
    whole = [line for line in block.lines if len(line) > 1]
    widths = [max(map(len, column)) for column in zip(block.header, *whole, strict=True)]
    lines = [_aligned(line, widths) if len(line) > 1 else line[0] for line in (block.header, *block.lines)]
    return "\n".join(
        [block.title, lines[0], "-" * max(map(len, lines)), *lines[1:], *(f"  {note}" for note in block.notes)]
    )


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    name, *figures = (
        text.ljust(width) if index == 0 else text.rjust(width)
        for index, (text, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  ".join([name, *figures]).rstrip()


def _markdown(block: TableBlock) -> str:
    rule = ["---", *["---:"] * (len(block.header) - 1)]
    lines = [_markdown_line(line) for line in (block.header, rule, *block.lines)]
    return "\n".join([f"**{_markdown_text(block.title)}**", "", *lines, *_markdown_notes(block.notes)])


def _markdown_line(line: Sequence[str]) -> str:
    if len(line) == 1:
        return f"| **{_markdown_text(line[0])}** |"
    return f"| {' | '.join(_markdown_text(text.strip()) for text in line)} |"


def _markdown_notes(notes: Sequence[str]) -> list[str]:
    return ["", *(f"- {_markdown_text(note)}" for note in notes)] if notes else []


def _markdown_text(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")


def _latex(block: TableBlock) -> str:
    lines = [_latex_line(line, len(block.header)) for line in (block.header, *block.lines)]
    notes = [rf"\par\footnotesize {_latex_text(note)}" for note in block.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex_text(block.title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(block.header) - 1)}}}",
            r"\hline",
            lines[0],
            r"\hline",
            *lines[1:],
            r"\hline",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
        ]
    )


def _latex_line(line: Sequence[str], columns: int) -> str:
    if len(line) == 1:
        return rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{_latex_text(line[0])}}}}} \\"
    return " & ".join(_latex_text(text.strip()) for text in line) + r" \\"


def _latex_text(text: str) -> str:
    return text.translate(_LATEX_ESCAPES)


_DRAW: Mapping[str, Callable[[TableBlock], str]] = {"text": _text, "markdown": _markdown, "latex": _latex}

"""From streams to tables: text, JSON, CSV, LaTeX or Markdown.

Text, LaTeX and Markdown are for people. JSON (a list of `StreamSummary.as_dict`) and CSV (one line for each figure and
each point of a curve) are for programs: every column, with gains over the floor.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmke.report.streams.blocks import stream_blocks
from mmke.report.streams.pooled import CURVES, SCALARS
from mmke.report.streams.summaries import StreamSummary
from mmke.report.table import check_form, csv_text, draw, json_text, rounded

ABOUT = ("backbone", "benchmark", "hop", "protocol", "schedule", "editor", "seed")
FIELDS = ("from", "to", "value", "se", "low", "high", "n", "gain", "gain_se")


def render_streams(streams: Sequence[StreamSummary], form: str, *, every_metric: bool = False) -> str:
    """Return streams in one of five forms, without a newline at the end.

    Args:
        streams: in the order of `read_streams`.
        form: "text", "json", "csv", "latex" or "markdown".
        every_metric: in the forms for people, show more than the headline kinds; the others always do.

    Raises:
        UserError: unknown form.
    """
    check_form(form)
    if form == "json":
        return json_text([rounded(stream.as_dict()) for stream in streams])
    if form == "csv":
        return csv_text([line for stream in streams for line in _csv_lines(rounded(stream.as_dict()))])
    return draw(stream_blocks(streams, every_metric=every_metric), form)


def _csv_lines(plain: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    about = {name: plain[name] for name in ABOUT}
    orders = " ".join(str(seed) for seed in plain["order_seeds"] if seed is not None)
    for column, figures in plain["columns"].items():
        for figure, where in _points(figures):
            yield {**about, "orders": orders, "column": column, "unit": figures["unit"], "figure": figure, **where}
    for quantity, cost in (plain["cost"] or {}).items():
        unit = "seconds" if quantity.startswith("seconds") else "bytes"
        for where in cost["decades"] if isinstance(cost, Mapping) else ():
            line = {**about, "orders": orders, "column": "", "unit": unit, "figure": quantity}
            yield line | dict.fromkeys(FIELDS) | where


def _points(figures: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each figure and each point of a curve by name, with its place from `from` to `to`."""
    blank = dict.fromkeys(FIELDS)
    for name in SCALARS:
        if figures[name] is not None:
            yield name, blank | figures[name]
    if figures["half_life"] is not None:
        yield "half_life", blank | {"value": figures["half_life"]["state"]}
    for name in CURVES:
        for point in figures[name]:
            place = point.get("edits_applied", point.get("gap"))
            known = {key: value for key, value in point.items() if key in FIELDS}
            yield name, blank | ({} if place is None else {"from": place, "to": place}) | known

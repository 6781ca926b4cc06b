"""The report: one file with tables, plots, records and how all was run.

In: results folders. Out: the page's text. Nothing is computed here that a table does not compute: each figure is one of
`mmke table --format json`.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

from mmke.counting import counted
from mmke.report.blocks import GIB
from mmke.report.cells import FLOOR, CellSummary
from mmke.report.charts.collection import Plot, names_of, plots_of_block, plots_of_streams
from mmke.report.charts.look import PAGE, to_svg
from mmke.report.figures import PER_CENT, Figure
from mmke.report.page.blocks import Block, TableLine, blocks_of
from mmke.report.page.compared import Difference, comparisons
from mmke.report.page.gather import Gathered
from mmke.report.page.made import made_of
from mmke.report.page.records import records_data
from mmke.report.page.standalone import render_page
from mmke.report.page.thumbnails import Thumbnails
from mmke.report.page.unscored import unscored_of
from mmke.report.streams.blocks import stream_blocks

MOST_NOTES = 3
"""With more notes than this beneath a table, they are folded."""
MEANINGS = {
    "t_loc": "Text locality: unrelated questions without a picture are answered as before.",
    "i_loc": "Image locality: unrelated questions on other pictures are answered as before.",
    "t_rel": "Text reliability: questions on the edit without the picture get the new answer.",
    "i_rel": "Image reliability: questions on the edit's picture get the new answer.",
    "i_gen": "Image generalisation: the same on another picture of the same thing.",
    "port": "Portability: questions that need the edit and further knowledge.",
}


def make_report(gathered: Gathered, *, version: str, pictures: bool = True, most: int = 0) -> str:
    """Return the page's text.

    Args:
        gathered: the runs.
        version: of the package, for the foot of the page.
        pictures: whether pictures are shown.
        most: so many cases of each benchmark in the browser of records; 0: all.

    Raises:
        UserError: a library of the extra `report` is not installed.
    """
    blocks = blocks_of(gathered)
    names = names_of(blocks)
    records = records_data(gathered, Thumbnails(shown=pictures), most=most)
    return render_page(
        "report.html",
        styles=["report.css"],
        scripts=["elements.js", "sorting.js", "data.js", "record.js", "browser.js"],
        heading=_heading(gathered),
        lead=_lead(gathered, blocks),
        left_out=gathered.left_out,
        meanings=_meanings(blocks),
        blocks=[_block(block, number, names, gathered) for number, block in enumerate(blocks)],
        streams=_streams(gathered),
        stream_plots=[_plot(plot) for plot in plots_of_streams(gathered.streams, PAGE)],
        compared=_compared(gathered),
        unscored=unscored_of(gathered.runs),
        made=made_of(gathered),
        foot=f"Made by mmke {version} report from {', '.join(gathered.sources)}.",
        data=packed(records),
    )


def packed(plain: Any) -> str:
    """Return plain data as JSON, compressed, in letters that no markup has; the same data give the same text."""
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # A lone half of a pair of code units, which a broken answer may hold, has no bytes of its own.
    return base64.b64encode(gzip.compress(text.encode("utf-8", errors="replace"), 9, mtime=0)).decode("ascii")


def _heading(gathered: Gathered) -> str:
    backbones = _distinct(gathered, "backbone")
    benchmarks = _distinct(gathered, "benchmark")
    return f"{', '.join(backbones)} on {', '.join(benchmarks)}"


def _lead(gathered: Gathered, blocks: Sequence[Block]) -> str:
    editors = [name for name in _distinct(gathered, "editor") if name != FLOOR]
    protocols = _distinct(gathered, "protocol")
    counts = sorted({line.cell.n for block in blocks for line in block.lines})
    least = f"{counts[0]} to " if len(counts) > 1 else ""
    records = f", {least}{counted(counts[-1], 'record')} each" if counts else ""
    beside = f"{counted(len(editors), 'editor')} ({', '.join(editors)}) beside the" if editors else "The"
    return f"{beside} unedited model{records}, protocol {' and '.join(protocols)}."


def _distinct(gathered: Gathered, name: str) -> list[str]:
    return list(dict.fromkeys(str(run.run[name]) for run in gathered.runs))


def _meanings(blocks: Sequence[Block]) -> list[tuple[str, str]]:
    labels = {name: label for block in blocks for name, label in block.labels.items()}
    return [(label, MEANINGS[name]) for name, label in labels.items() if name in MEANINGS]


def _block(block: Block, number: int, names: Sequence[str], gathered: Gathered) -> dict[str, Any]:
    unfinished = {
        (run.source, cell.place): run.unfinished for run in gathered.runs for cell in run.cells if run.unfinished
    }
    more = {name: _with_unit(block, name, label) for name, label in block.more.items()}
    return {
        "id": f"table{number}",
        "title": block.title,
        "short": block.first.benchmark.rpartition("/")[2],
        "protocol": block.first.protocol,
        "labels": list(block.labels.values()),
        "lines": [_line(line, list(block.labels), unfinished) for line in block.lines],
        "more_labels": list(more.values()),
        "more_lines": [_line(line, list(more), unfinished) for line in block.lines],
        "notes": block.notes,
        "many_notes": len(block.notes) > MOST_NOTES,
        "plots": [_plot(plot) for plot in plots_of_block(block, names, PAGE)],
    }


def _streams(gathered: Gathered) -> list[dict[str, Any]]:
    blocks = [
        (source, each) for source, own in gathered.streams.items() for each in stream_blocks(own, every_metric=False)
    ]
    several = len(gathered.streams) > 1
    return [
        {**block._asdict(), "id": f"stream{number}", "title": block.title + (f" ({source})" if several else "")}
        for number, (source, block) in enumerate(blocks)
    ]


def _with_unit(block: Block, name: str, label: str) -> str:
    unit = block.first.scale.unit(name)
    return label if unit == PER_CENT else f"{label} ({unit})"


def _line(line: TableLine, columns: Sequence[str], unfinished: Any) -> dict[str, Any]:
    cell = line.cell
    return {
        "name": line.name,
        "floor": line.is_floor,
        "unfinished": unfinished.get((line.source, cell.place)),
        "figures": [_figure(cell, name) for name in columns],
        "n": cell.n,
        "seconds": cell.seconds_per_edit,
        "memory": None if cell.peak_memory_bytes is None else cell.peak_memory_bytes / GIB,
    }


def _figure(cell: CellSummary, name: str) -> dict[str, Any]:
    digits = 1 if cell.scale.unit(name) == PER_CENT else 3
    figure = cell.metrics.get(name, Figure(None, None, None, None, 0, 0))

    def told(number: float | None, sign: str = "") -> str | None:
        return None if number is None else f"{number:{sign}z.{digits}f}".replace("-", "−" if sign else "-")

    better = cell.scale.columns.get(name.partition("[")[0])
    gain = figure.gain if figure.gain is None or better is None or better.higher_is_better else -figure.gain
    return {
        "value": figure.value,
        "text": told(figure.value),
        "se": told(figure.se),
        "gain": told(figure.gain, "+"),
        "gain_se": told(figure.gain_se),
        "way": "flat" if gain is None or abs(gain) < 0.05 else "up" if gain > 0 else "down",
    }


def _plot(plot: Plot) -> dict[str, Any]:
    from markupsafe import Markup

    # The texts in these pictures are escaped by vl-convert.
    pictures = [Markup(to_svg(chart)) for chart in plot.charts]  # noqa: S704
    return {**plot._asdict(), "pictures": pictures}


def _compared(gathered: Gathered) -> list[dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for each in comparisons(gathered):
        group = groups.setdefault(
            each["place"],
            {"place": each["place"], "labels": [one.label for one in each["differences"]], "rows": []},
        )
        differences = [{"value": one.value, "clear": one.clear, "text": _told(one)} for one in each["differences"]]
        most = max((one.n for one in each["differences"]), default=0)
        group["rows"].append({**each, "differences": differences, "n": most})
    return list(groups.values())


def _told(one: Difference) -> str:
    if one.value is None:
        return "–"
    error = "" if one.se is None else f" ±{one.se:.1f}"
    return f"{one.value:+z.1f}".replace("-", "−") + error

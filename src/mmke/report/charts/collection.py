"""All plots of a report: each with the question that it answers, and how it is read."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from mmke.report.cells import FLOOR
from mmke.report.charts.cost import cost
from mmke.report.charts.look import Look, altair, dressed
from mmke.report.charts.profile import profile, styles, written
from mmke.report.charts.tradeoff import tradeoff
from mmke.report.page.blocks import Block, plain_name
from mmke.report.streams.naming import title
from mmke.report.streams.plot import Curve, stream_chart
from mmke.report.streams.summaries import StreamSummary

Draw = Callable[[Any, Block, Sequence[str], Look], list[Any]]


class Plot(NamedTuple):
    """One plot.

    Attributes:
        name: of its file, such as `mini-entity-tradeoff`.
        question: that it answers.
        reading: how it is read.
        about: what it is of, with the protocol.
        charts: of Altair; a page has one for each panel, so that they stand side by side or below each other.
    """

    name: str
    question: str
    reading: str
    about: str
    charts: tuple[Any, ...]


INTERVALS = "Lines are intervals of 95 % over records (Student's t), cut off at 0 and 100."

OF_A_BLOCK: Mapping[str, tuple[Draw, str, str]] = {
    "tradeoff": (
        tradeoff,
        "Does the edit hold, and is everything else left alone?",
        (
            "Right: the edited model answers as the edit says. Up: unrelated answers stay as they were. The star is "
            f"the ideal; the diamond and the dashed line are the unedited model. {INTERVALS}"
        ),
    ),
    "profile": (
        profile,
        "Where is each editor strong, and where weak?",
        f"One panel a metric. The dashed line is the unedited model: what counts is what lies right of it. {INTERVALS}",
    ),
    "written": (
        written,
        "Does the edit also show when the model writes by itself?",
        (
            "Forced: the model is fed the gold answer and each token is checked. Freely written: the model writes the "
            f"answer alone. A large gap means that forced figures flatter the editor. {INTERVALS}"
        ),
    ),
    "cost": (
        cost,
        "What does a gain cost?",
        (
            "Up: gain of I-Rel over the unedited model. Right: more seconds or more memory. Best is the upper left. "
            "Lines are intervals of 95 % of the gain."
        ),
    ),
    "styles": (
        styles,
        "Does the edit hold in pictures drawn in another style?",
        f"The same thing, drawn by other artists; the names are those of the data's styles. {INTERVALS}",
    ),
}

OF_STREAMS: Mapping[Curve, tuple[str, str, str]] = {
    "checkpoints": (
        "forgetting",
        "What is kept while edits add up?",
        (
            "Mean over the cases edited so far, by the number of edits in the model. Dashed: the unedited model. "
            "Bands: range over orders of the edits."
        ),
    ),
    "gaps": (
        "gaps",
        "How long is one edit kept?",
        "Each case is asked once, so many further edits after its own. Dashed: the unedited model.",
    ),
    "ages": (
        "ages",
        "How does an edit's age change the answers?",
        "By the number of further edits after the case's own, over all checkpoints; ages are taken together in bins.",
    ),
}


def plots_of_block(block: Block, names: Sequence[str], look: Look) -> Iterator[Plot]:
    """Yield the plots of one table.

    Args:
        block: the table.
        names: of all lines of the report, so that an editor has one colour in all plots.
        look: sizes.
    """
    alt = altair()
    about = f"{block.title}, protocol {block.first.protocol}, n = {_counts(block)}"
    for name, (draw, question, reading) in OF_A_BLOCK.items():
        panels = draw(alt, block, names, look)
        if panels:
            groups = [[panel] for panel in panels] if look.columns == 1 else [panels]
            charts = tuple(dressed(alt, each, look) for each in groups)
            yield Plot(f"{_slug(block)}-{name}", question, reading, about, charts)


def plots_of_streams(streams: Mapping[str, Sequence[StreamSummary]], look: Look) -> Iterator[Plot]:
    """Yield the curves of each stream; those of several results folders, which are the keys, apart from each other."""
    for source, own in streams.items():
        several = len(streams) > 1
        for plot in _curves(own, look):
            about = f"{plot.about} ({source})" if several else plot.about
            yield plot._replace(name=_plain(f"{source}-{plot.name}") if several else plot.name, about=about)


def _curves(streams: Sequence[StreamSummary], look: Look) -> Iterator[Plot]:
    alt = altair()
    for key, group in groupby(streams, key=lambda stream: stream.key):
        own = list(group)
        for curve, (name, question, reading) in OF_STREAMS.items():
            columns = dict.fromkeys(kind.name for each in own for kind in each.scale.kinds.values() if kind.headline)
            present = [name for name in columns if any(name in each.columns for each in own)]
            wanted = [[column] for column in present] if look.columns == 1 else [present]
            drawn = [stream_chart(alt, own, columns=each, curve=curve, titled=False) for each in wanted if each]
            charts = tuple(chart for chart in drawn if chart is not None)
            if charts:
                slug = _plain(f"{key[0]}-{key[1]}-{key[3]}-{key[4]}")
                yield Plot(f"{slug}-{name}", question, reading, title(own[0]), charts)


def names_of(blocks: Sequence[Block]) -> list[str]:
    """Return the names of all edited lines, in the order in which they take their colours."""
    return list(dict.fromkeys(plain_name(line) for block in blocks for line in block.edited))


def _counts(block: Block) -> str:
    counts = sorted({line.cell.n for line in block.lines if line.cell.editor != FLOOR or len(block.lines) == 1})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _slug(block: Block) -> str:
    first = block.first
    return _plain(f"{first.backbone}-{first.benchmark}-hop{first.hop}-{first.protocol}")


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name)

"""Names of a stream's tables and of their lines."""

from collections.abc import Sequence

from mmke.report.notes import MARK
from mmke.report.streams.summaries import StreamSummary


def title(stream: StreamSummary) -> str:
    """Return what a table is of."""
    backbone, benchmark, hop, protocol, _ = stream.key
    plan = stream.plan
    about = f"stream of {plan.tests} case{'s' * (plan.tests != 1)}"
    if plan.reset or plan.groups:
        about = f"{plan.tests} cases, anew after each {plan.reset or f'{plan.groups} groups'}"
    return f"{backbone} on {benchmark}, hop {hop}, protocol {protocol}, {about}"


def line_name(stream: StreamSummary, streams: Sequence[StreamSummary]) -> str:
    """Return the name of a line: the editor, its seed where several stand side by side, and the mark of a note."""
    several = len({other.seed for other in streams}) > 1
    name = f"{stream.editor} (seed {stream.seed})" if several else stream.editor
    return name + MARK if stream.conditions.trained_on else name

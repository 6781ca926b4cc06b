"""The table of how sound the edited model is at each checkpoint, as plain texts."""

from collections.abc import Callable, Iterator, Sequence

from mmke.report.blocks import ABSENT, TableBlock
from mmke.report.streams.naming import line_name, title
from mmke.report.streams.summaries import StreamSummary
from mmke.results.states import StateRecord

Line = tuple[str, ...]

NOTE = "of several orders the worst; what counts as a collapse, and what else is looked at, is in states.jsonl"


def health_block(streams: Sequence[StreamSummary]) -> TableBlock:
    """Return the table of the states that were looked at, one column each."""
    places = sorted({state.edits_applied for stream in streams for _, state in stream.states})
    return TableBlock(
        title=f"{title(streams[0])}: health by number of edits",
        header=("editor", *map(str, places)),
        lines=tuple(_lines(streams, places)),
        notes=(NOTE,),
    )


def _lines(streams: Sequence[StreamSummary], places: Sequence[int]) -> Iterator[Line]:
    for heading, show in SECTIONS:
        yield (heading,)
        for stream in streams:
            if stream.states:
                at = {place: [state for _, state in stream.states if state.edits_applied == place] for place in places}
                texts = (show(at[place]) if at[place] else ABSENT for place in places)
                yield (f"  {line_name(stream, streams)}", *texts)


def _perplexity(states: Sequence[StateRecord]) -> str:
    """Return the highest perplexity of a state over orders, as a multiple of the unedited model's."""
    ratios = [
        state.perplexity / state.perplexity_unedited
        for state in states
        if state.perplexity is not None and state.perplexity_unedited
    ]
    return f"{max(ratios):.3g}" if len(ratios) == len(states) else "not finite"


def _repeated(states: Sequence[StateRecord]) -> str:
    return f"{100 * max(state.repeated for state in states):.0f}"


SECTIONS: tuple[tuple[str, Callable[[Sequence[StateRecord]], str]], ...] = (
    ("perplexity of a fixed text, times the unedited model's", _perplexity),
    ("written answers that are one token repeated, per cent", _repeated),
)

"""What a stream's model can do besides its edits, at each checkpoint: tables as plain texts."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from mmke.abilities.figures import Figures, difference, figures
from mmke.report.blocks import ABSENT, TableBlock
from mmke.report.streams.abilities import InState, states_of
from mmke.report.streams.naming import line_name, title
from mmke.report.streams.summaries import StreamSummary

Line = tuple[str, ...]


def abilities_blocks(streams: Sequence[StreamSummary]) -> Iterator[TableBlock]:
    """Yield a table for each suite: one column for each number of edits, the unedited model's first."""
    found = [(stream, list(states_of(stream.runs))) for stream in streams]
    everything = list(chain.from_iterable(states for _, states in found))
    for suite in dict.fromkeys(each.record.suite for each in everything):
        of_suite = [each for each in everything if each.record.suite == suite]
        places = sorted({each.record.edits_applied for each in of_suite})
        lines: list[Line] = []
        for heading, show in SECTIONS:
            lines.append((heading,))
            for stream, states in found:
                some = [each for each in states if each.record.suite == suite]
                if some:
                    texts = (_text(some, place, show) for place in places)
                    lines.append((f"  {line_name(stream, streams)}", *texts))
        yield TableBlock(
            title=f"{title(streams[0])}: {suite} by number of edits",
            header=("editor", *map(str, places)),
            lines=tuple(lines),
            notes=(
                f"{_counts(of_suite)}; 0 is the unedited model; ± standard error over questions",
                *_left_out(of_suite),
            ),
        )


def _text(states: Sequence[InState], place: int, show: Callable[[Sequence[InState]], str]) -> str:
    here = [each for each in states if each.record.edits_applied == place]
    return show(here) if here else ABSENT


def _pooled(states: Sequence[InState]) -> Figures:
    return figures([one for each in states for one in each.said])


def _change(states: Sequence[InState]) -> str:
    pairs = [each for each in states if each.unedited is not None]
    found = difference(
        [one for each in pairs for one in each.said], [one for each in pairs for one in each.unedited or ()]
    )
    if not found.count or all(each.record.edits_applied == 0 for each in pairs):
        return ABSENT
    return f"{100 * found.exact:+.1f} ±{100 * found.exact_error:.1f}".replace("-", "−")


def _share(name: str) -> Callable[[Sequence[InState]], str]:
    def show(states: Sequence[InState]) -> str:
        found = _pooled(states)
        return f"{100 * getattr(found, name):.1f}" if found.count else ABSENT

    return show


def _words(states: Sequence[InState]) -> str:
    found = _pooled(states)
    return f"{found.words:.1f}" if found.count else ABSENT


def _counts(states: Sequence[InState]) -> str:
    counts = sorted({len(each.said) for each in states})
    span = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{span} questions of {states[0].record.available}"


def _left_out(states: Sequence[InState]) -> tuple[str, ...]:
    most = max(each.record.left_out for each in states)
    if not most:
        return ()
    return (f"{most} questions are left out: edits of the stream are about what they show",)


SECTIONS: tuple[tuple[str, Callable[[Sequence[InState]], str]], ...] = (
    ("exactly right, per cent", _share("exact")),
    ("the same, change from the unedited model", _change),
    ("begins with the right answer, per cent", _share("starts")),
    ("words of an answer", _words),
)

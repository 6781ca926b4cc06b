"""The table of what a stream costs, as plain texts: seconds, memory and bytes by decade of the number of edits."""

from collections.abc import Callable, Iterator, Sequence

from mmke.report.blocks import ABSENT, GIB, TableBlock
from mmke.report.streams.cost import Cost, Quantity
from mmke.report.streams.curves import Bin
from mmke.report.streams.naming import line_name, title
from mmke.report.streams.summaries import StreamSummary

Show = Callable[[float], str]
Line = tuple[str, ...]

NOTE = (
    "seconds and bytes: medians of each decade; memory: the highest peak; each edit adds: the slope by least squares, "
    "of seconds only where the saved state grows"
)


def cost_block(streams: Sequence[StreamSummary]) -> TableBlock:
    """Return the table of what the editors of one stream cost."""
    decades = sorted({decade for stream in streams for each in _quantities(stream) for decade in each.decades})
    return TableBlock(
        title=f"{title(streams[0])}: cost by number of edits",
        header=("editor", *map(str, decades), "last : first", "each edit adds"),
        lines=tuple(_lines(streams, decades)),
        notes=(NOTE,),
    )


def _lines(streams: Sequence[StreamSummary], decades: Sequence[Bin]) -> Iterator[Line]:
    costs = [(line_name(stream, streams), stream.cost) for stream in streams if stream.cost is not None]
    for heading, of, show in SECTIONS:
        lines = [_line(name, cost, of(cost), decades, show) for name, cost in costs if of(cost).decades]
        if lines:
            yield (heading,)
            yield from lines


def _line(name: str, cost: Cost, quantity: Quantity, decades: Sequence[Bin], show: Show) -> Line:
    values = [show(quantity.decades[decade]) if decade in quantity.decades else ABSENT for decade in decades]
    ratio = ABSENT if quantity.ratio is None else f"{quantity.ratio:.2f}"
    if quantity is cost.memory and cost.kind is not None:
        name = f"{name} ({cost.kind})"
    return (f"  {name}", *values, ratio, _added(cost, quantity))


def _added(cost: Cost, quantity: Quantity) -> str:
    """Return what each edit adds, where that is told: of bytes always, of seconds where the state grows."""
    if quantity.slope is None or quantity is cost.memory:
        return ABSENT
    if quantity is cost.state:
        return f"{_bytes(quantity.slope)} from {_bytes(quantity.intercept or 0.0)}"
    return f"{1000 * quantity.slope:+.3f} ms" if cost.grows else ABSENT


def _quantities(stream: StreamSummary) -> tuple[Quantity, ...]:
    cost = stream.cost
    return () if cost is None else (cost.apply, cost.record, cost.state, cost.memory)


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _gib(value: float) -> str:
    return f"{value / GIB:.1f} GiB"


def _bytes(value: float) -> str:
    """Return bytes in the unit that leaves a number from 1 up."""
    for unit in ("B", "KiB", "MiB"):
        if abs(value) < 1024:
            return f"{value:z.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


SECTIONS: tuple[tuple[str, Callable[[Cost], Quantity], Show], ...] = (
    ("seconds of a step", lambda cost: cost.apply, _seconds),
    ("seconds of a case's questions", lambda cost: cost.record, _seconds),
    ("bytes that a saved session needs beyond the model", lambda cost: cost.state, _bytes),
    ("peak memory", lambda cost: cost.memory, _gib),
)

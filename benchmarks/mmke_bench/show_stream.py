"""What `mmke bench --stream` prints of a measurement."""

from collections.abc import Iterator

from mmke.report.streams.cost import Quantity
from mmke_bench.measured_stream import FIGURES, MeasuredStream, StreamSide
from mmke_bench.memory import GIB

MIB = 1 << 20
WHAT = {
    "edit": "an edit",
    "first": "a record asked for the first time",
    "right": "asked right after its edit",
    "again": "asked at a later checkpoint",
}


def stream_lines(measured: MeasuredStream) -> Iterator[str]:
    """Return the lines of one editor on one benchmark."""
    longest = max(side.edits for side in measured.sides.values())
    yield f"{measured.editor} on {measured.benchmark}, a stream of {longest} edits; seconds are medians, by wall clock"
    yield f"records: {measured.workload}"
    for name, side in measured.sides.items():
        if not side.whole:
            yield f"{name} was ended before its last record, when its time was up"
    plain = measured.sides.get("plain")
    if plain is not None and plain.schedule != measured.sides.get("mmke", plain).schedule:
        yield (
            f"the plain loop made the first {plain.edits} edits, and asked each record right away and behind the last; "
            "nothing is scaled up"
        )
    yield f"side    load s  floor s  stream s  {'  '.join(f'{figure} s'.rjust(8) for figure in FIGURES)}  peak GiB"
    for name, side in measured.sides.items():
        yield _side(name, side)
    for name, side in measured.sides.items():
        yield from _decades(name, side)
    yield from _ratios(measured)


def _side(name: str, side: StreamSide) -> str:
    medians = "  ".join(_seconds(side.median(figure)) for figure in FIGURES)
    return (
        f"{name:6}{side.loaded.seconds:8.1f} {side.floor_seconds:8.1f} {side.stream_seconds:9.1f}  {medians}  "
        f"{side.peak / GIB:8.2f}"
    )


def _seconds(value: float | None) -> str:
    return f"{'-':>8}" if value is None else f"{value:8.4f}"


def _decades(name: str, side: StreamSide) -> Iterator[str]:
    """Return what a side costs by decade of the number of edits."""
    cost = side.cost
    for what, quantity, unit, digits in (
        ("seconds of a step", cost.apply, 1.0, 4),
        ("seconds of a record", cost.record, 1.0, 4),
        ("saved session, MiB", cost.state, float(MIB), 3),
        ("peak memory, GiB", cost.memory, float(GIB), 2),
    ):
        if quantity.decades:
            # A slope of what does not grow would be noise.
            slope = quantity.slope if cost.grows and quantity is not cost.memory else None
            adds = "" if slope is None else f"; each edit adds {slope / unit:+.2e}"
            yield f"{name:6}{what:20} {_by_decade(quantity, unit, digits)}{adds}"


def _by_decade(quantity: Quantity, unit: float, digits: int) -> str:
    decades = ", ".join(
        f"{where.low}–{where.high}: {value / unit:.{digits}f}" for where, value in quantity.decades.items()
    )
    return decades + ("" if quantity.ratio is None else f"; last to first {quantity.ratio:.2f}")


def _ratios(measured: MeasuredStream) -> Iterator[str]:
    found = {figure: measured.ratio(figure) for figure in FIGURES}
    told = [f"{WHAT[figure]} {ratio:.1f}" for figure, ratio in found.items() if ratio is not None]
    if told:
        yield f"times as fast: {', '.join(told)}"
    if measured.total is not None:
        yield f"in all {measured.total:.1f} times as fast"
    ours = measured.sides.get("mmke")
    if ours is not None:
        first, again = ours.median("first"), ours.median("again")
        if first and again:
            yield f"asking again takes {again / first:.3f} of the first time"
    agreement = measured.agreement
    if agreement is not None:
        yield (
            f"rows whose ids differ: {agreement.other_ids} of {agreement.rows}; "
            f"widest gap of a mean log-probability: {agreement.gap:.1e} nats"
        )

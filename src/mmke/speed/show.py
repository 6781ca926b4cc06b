"""What `mmke bench` prints of a measurement."""

from collections.abc import Iterator

from mmke.speed.bench import GIB, Measured
from mmke.speed.sides import SideName

PUBLISHED_FORWARDS = {"entity": 31, "user": 31, "visual": 25}
"""Forward passes that the published code of IKE makes for a record, by the end of the benchmark's name."""

HEAD = "side    load s  floor s  edit s  probes s  record s   peak GiB: reserved  allocated"


def lines(measured: Measured, clock: str) -> Iterator[str]:
    """Return the lines of one editor on one benchmark."""
    records = max(len(laps) for laps in measured.laps.values())
    yield f"{measured.editor} on {measured.benchmark}, medians over {records} records, {clock} clock"
    yield HEAD
    for side in measured.laps:
        yield _side(measured, side, clock)
    for floor, what in ((False, "the editor alone"), (True, "with the floor")):
        ratio, bound = measured.ratio(clock, floor=floor), measured.bound(floor=floor)
        if ratio is not None and bound is not None:
            yield f"{what}: {ratio:.2f} times as fast; bound by operations {bound:.2f} ({ratio / bound:.0%})"
    yield from _further(measured, clock)


def _side(measured: Measured, side: SideName, clock: str) -> str:
    phases = [measured.phase(side, name) for name in ("floor", "edit", "probes")]
    reserved, allocated = (measured.peak(side, kind) / GIB for kind in ("reserved", "allocated"))
    return (
        f"{side:6}{measured.load[side]['seconds']:8.1f} {phases[0]:8.3f} {phases[1]:7.3f} {phases[2]:9.3f} "
        f"{measured.seconds(side, clock):9.3f} {reserved:20.2f} {allocated:10.2f}"
    )


def _further(measured: Measured, clock: str) -> Iterator[str]:
    floor = measured.floor_seconds()
    if floor is not None and measured.ceilings is not None:
        rate = 2 * measured.ceilings.multiply_adds / 1e12
        yield f"arithmetic floor at this card's {rate:.0f} TFLOP/s: {floor:.3f} s a record"
    shared, ratio = measured.shared(), measured.ratio(clock)
    if measured.editor.startswith("ike") and shared is not None and ratio is not None:
        asked, prefixes = shared
        published = PUBLISHED_FORWARDS[measured.benchmark.rpartition("-")[2]]
        yield (
            f"{asked} long prompts behind {prefixes} distinct prefixes: {asked / prefixes:.2f}, of which "
            f"{ratio * prefixes / asked:.2f} are reached; against {published} published passes {ratio * published / asked:.1f}"
        )
    agreement = measured.agreement
    if agreement is not None:
        yield (
            f"rows whose ids differ: {agreement.other_ids} of {agreement.rows}; "
            f"widest gap of a mean log-probability: {agreement.gap:.1e} nats"
        )

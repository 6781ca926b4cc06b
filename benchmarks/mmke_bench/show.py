"""What `mmke bench` prints of a measurement."""

from collections.abc import Iterator

from mmke_bench.measured import Measured
from mmke_bench.memory import GIB
from mmke_bench.sides import Clock, SideName

PUBLISHED_FORWARDS = {"entity": 31, "user": 31, "visual": 25}
"""Forward passes that the published code of IKE makes for a record, by the end of the benchmark's name."""


def lines(measured: Measured, clock: Clock) -> Iterator[str]:
    """Return the lines of one editor on one benchmark."""
    records = max(len(laps) for laps in measured.laps.values())
    cell = f"{measured.editor} on {measured.benchmark}"
    yield f"{cell}, medians over {records} records; records and ratios: {clock} clock"
    kinds = "  ".join(f"{kind:>9}" for kind in measured.peaks(next(iter(measured.laps))))
    yield f"side    load s  floor s  edit s  probes s  record s  peak GiB:  {kinds}"
    for side in measured.laps:
        yield _side(measured, side, clock)
    yield from _ratios(measured, clock)
    yield from _steps(measured, clock)
    yield from _arithmetic(measured)
    yield from _prompts(measured, clock)
    yield from _agreement(measured)


def _side(measured: Measured, side: SideName, clock: Clock) -> str:
    floor, edit, probes = (measured.phase(side, name) for name in ("floor", "edit", "probes"))
    peaks = "  ".join(f"{peak / GIB:9.2f}" for peak in measured.peaks(side).values())
    return (
        f"{side:6}{measured.load[side].seconds:8.1f} {floor:8.3f} {edit:7.3f} {probes:9.3f} "
        f"{measured.seconds(side, clock):9.3f}             {peaks}"
    )


def _ratios(measured: Measured, clock: Clock) -> Iterator[str]:
    for floor, what in ((False, "the editor alone"), (True, "with the floor")):
        ratio, bound = measured.ratio(clock, floor=floor), measured.bound(floor=floor)
        if ratio is not None:
            against = "" if bound is None else f"; bound by operations {bound:.2f} ({ratio / bound:.0%})"
            yield f"{what}: {ratio:.2f} times as fast{against}"


def _steps(measured: Measured, clock: Clock) -> Iterator[str]:
    """Return what a training step took, per record."""
    besides = any(step.asides is not None for steps in measured.steps.values() for step in steps)
    for side in measured.steps:
        new, seen = (measured.step_seconds(side, clock, sight) for sight in ("new", "seen"))
        told = f"training step: {new:.3f} s a record"
        if side == "mmke":
            told += f", {seen:.3f} s when it was seen before"
        elif besides:
            told += f", {measured.step_seconds(side, clock, 'new', asides=True):.3f} s with what no loss reads"
        peaks = "  ".join(f"{kind} {peak / GIB:.2f}" for kind, peak in measured.step_peaks(side).items())
        yield f"{side:6}{told}; peak GiB: {peaks}"
    for asides in (False, True) if besides else (False,):
        what = "a step that asks what no loss reads" if asides else "training step"
        ratio, later = (measured.step_ratio(clock, sight, asides=asides) for sight in ("new", "seen"))
        bound = measured.step_bound(asides=asides)
        if ratio is not None and later is not None:
            against = "" if bound is None else f"; bound by operations {bound:.2f} ({ratio / bound:.0%})"
            yield f"{what}: {ratio:.2f} times as fast{against}; on a record seen before {later:.2f} times"


def _arithmetic(measured: Measured) -> Iterator[str]:
    least = measured.least_seconds()
    if least is not None and measured.ceilings is not None:
        rate = 2 * measured.ceilings.multiply_adds / 1e12
        yield f"the needed arithmetic at this GPU's {rate:.0f} TFLOP/s: {least:.3f} s a record"


def _prompts(measured: Measured, clock: Clock) -> Iterator[str]:
    shared, ratio = measured.shared(), measured.ratio(clock)
    if shared is None or ratio is None:
        return
    asked, prefixes = shared
    yield (
        f"{asked} long prompts behind {prefixes} distinct prefixes: {asked / prefixes:.2f}, "
        f"of which {ratio * prefixes / asked:.2f} are reached"
    )
    published = PUBLISHED_FORWARDS.get(measured.benchmark.rpartition("-")[2])
    if published is not None:
        yield f"against the {published} passes of the published code: {ratio * published / asked:.1f} times as fast"


def _agreement(measured: Measured) -> Iterator[str]:
    agreement = measured.agreement
    if agreement is not None:
        yield (
            f"rows whose ids differ: {agreement.other_ids} of {agreement.rows}; "
            f"widest gap of a mean log-probability: {agreement.gap:.1e} nats"
        )

"""The figures of a stream: pure functions from the scores of one column, case by case and state by state.

A *state* t is a model with the edits of t cases. Case i came with a step after which the position p(i) = t. `a_i(t)` is
its score in state t, a mean over its probes of the column. N is the state after the last scored case. Of one column:

* right = mean of a_i(p(i)); final = mean of a_i(N).
* M(c), the curve by checkpoint = mean of a_i(c) over the cases with p(i) ≤ c.
* G(g), the curve by gap = mean of a_i(p(i) + g); the curve by age = mean of a_i(t) over all checkpoints, by t − p(i).
* Over the cases with p(i) < N: forgetting = mean of (the best a_i(t) observed from p(i) to N) − a_i(N); backward
  transfer = mean of a_i(N) − a_i(p(i)).
* Drift before the edit = mean of a_i(state before its own step) − the floor.
* Area = trapezoids of M over log c (and over c), divided by the length of the axis: a mean of M.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from math import log
from typing import NamedTuple

from mmke.report.estimates import Mean, Sum, mean


class Track(NamedTuple):
    """One case's scores of one column.

    Attributes:
        scores: by state, the number of cases in the model.
        position: state in which the case's own step had ended; None of the unedited model, which has one score for all
            states, under 0.
        end: state after the last scored case; where the stream is reset, the last of its own part.
        floor: the unedited model's score; None where there is none.
    """

    scores: Mapping[int, float]
    position: int | None
    end: int
    floor: float | None = None


Tracks = Mapping[str, Track]
"""By case."""


class Asked(NamedTuple):
    """When a stream's cases were asked.

    Attributes:
        checkpoints: states in which all cases edited so far were asked.
        gaps: how many edits after its own each case was asked.
        end: whether all were asked after the last scored case.
    """

    checkpoints: Sequence[int]
    gaps: Sequence[int] = ()
    end: bool = True


class Bin(NamedTuple):
    """Ages from `low` to `high`: 0, 1–3, 4–10, 11–30, 31–100 and so on."""

    low: int
    high: int

    def __str__(self) -> str:
        """Return the ages as text."""
        return str(self.low) if self.low == self.high else f"{self.low}–{self.high}"


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one column, in the scale of the rows; None, or no entry, where nothing was observed.

    Attributes:
        right: straight after the case's own step.
        final: after the last scored case.
        forgetting: how far a score fell from its best.
        backward_transfer: what the later edits changed.
        drift: what earlier edits changed in a case that was not edited yet.
        checkpoints: the curve M(c); see `area`.
        gaps: the curve G(g).
        ages: the curve by age.
    """

    right: Mean | None = None
    final: Mean | None = None
    forgetting: Mean | None = None
    backward_transfer: Mean | None = None
    drift: Mean | None = None
    checkpoints: Mapping[int, Mean] = field(default_factory=dict)
    gaps: Mapping[int, Mean] = field(default_factory=dict)
    ages: Mapping[Bin, Mean] = field(default_factory=dict)


def figures(tracks: Tracks, asked: Asked, *, higher_is_better: bool = True) -> Figures:
    """Return the figures of one column of one stream.

    Args:
        tracks: the scores of each case; those of the unedited model are flat.
        asked: the checkpoints and gaps of the stream.
        higher_is_better: of the column; it decides what the best score of a case is.
    """
    if any(track.position is None for track in tracks.values()):
        return _flat(tracks, asked)
    ended = {case: track for case, track in tracks.items() if asked.end and track.end in track.scores}
    return Figures(
        right=mean(_seen(tracks, lambda p, _: p)),
        final=mean(_seen(ended, lambda p, track: track.end if p <= track.end else None)),
        forgetting=mean(_forgotten(ended, higher_is_better=higher_is_better)),
        backward_transfer=mean(_transferred(ended)),
        drift=mean(_drifted(tracks)),
        checkpoints=_by(asked.checkpoints, lambda c: mean(_seen(tracks, lambda p, _: c if p <= c else None))),
        gaps=_by(asked.gaps, lambda gap: mean(_seen(tracks, lambda p, _: p + gap))),
        ages=_ages(tracks, asked),
    )


def area(curve: Mapping[int, Mean | Sum], axis: Callable[[float], float] = log) -> Sum | None:
    """Return the mean of a curve over an axis by trapezoids; None with fewer than two points.

    Args:
        curve: by state.
        axis: turns states into the axis: `log`, or `float` for the states themselves.
    """
    states = list(curve)
    if len(states) < 2:
        return None
    length = axis(states[-1]) - axis(states[0])
    weights: dict[int, float] = defaultdict(float)
    for left, right in pairwise(states):
        for state in (left, right):
            weights[state] += (axis(right) - axis(left)) / 2 / length
    return Sum.of([(weight, curve[state]) for state, weight in weights.items()])


def half_life(gains: Mapping[int, Mean | Sum]) -> int | None:
    """Return the first state in which at most half of the first state's gain over the floor is left.

    Args:
        gains: M(c) − the floor of the same cases; at least one.

    Returns:
        None where more than half is left in every state.
    """
    first, *_ = gains.values()
    return next((state for state, gain in gains.items() if gain.value <= first.value / 2), None)


def over_floor(tracks: Tracks) -> Tracks:
    """Return what scores gain over the floor, of the cases that have one."""
    return {
        case: track._replace(scores={state: score - track.floor for state, score in track.scores.items()}, floor=0.0)
        for case, track in tracks.items()
        if track.floor is not None
    }


def paired(left: Tracks, right: Tracks) -> tuple[Tracks, Tracks]:
    """Return of two tracks what both have: the same cases in the same states. The unedited model is in every state."""
    one, other = {}, {}
    for case in left.keys() & right.keys():
        a, b = _spread(left[case], right[case]), _spread(right[case], left[case])
        states = a.scores.keys() & b.scores.keys()
        if states and a.position == b.position:
            one[case] = a._replace(scores={state: a.scores[state] for state in sorted(states)})
            other[case] = b._replace(scores={state: b.scores[state] for state in sorted(states)})
    return one, other


@cache
def age_bin(age: int) -> Bin:
    """Return the bin of an age of 0 or more."""
    if age == 0:
        return Bin(0, 0)
    low, high = 1, 3
    while age > high:
        low, high = high + 1, 10 * high // 3 if str(high).startswith("3") else 3 * high
    return Bin(low, high)


def _spread(track: Track, other: Track) -> Track:
    """Return the unedited model's track with its score in each state of another track; others as they are."""
    if track.position is not None:
        return track
    return other._replace(scores=dict.fromkeys(other.scores, track.scores[0]))


def _flat(tracks: Tracks, asked: Asked) -> Figures:
    level = mean((case, track.scores[0]) for case, track in tracks.items())
    if level is None:
        return Figures()
    return Figures(
        right=level,
        final=level,
        checkpoints=dict.fromkeys(asked.checkpoints, level),
        gaps=dict.fromkeys(asked.gaps, level),
    )


def _seen(tracks: Tracks, state: Callable[[int, Track], int | None]) -> Iterable[tuple[str, float]]:
    """Yield each case's score in the state that is named of its position and track, where it was asked there."""
    for case, track in tracks.items():
        at = None if track.position is None else state(track.position, track)
        if at is not None and at in track.scores:
            yield case, track.scores[at]


def _by(keys: Iterable[int], figure: Callable[[int], Mean | None]) -> dict[int, Mean]:
    return {key: found for key in keys if (found := figure(key)) is not None}


def _forgotten(tracks: Tracks, *, higher_is_better: bool) -> Iterable[tuple[str, float]]:
    sign = 1.0 if higher_is_better else -1.0
    for case, track in tracks.items():
        if track.position is not None and track.position < track.end:
            seen = [score for state, score in track.scores.items() if track.position <= state <= track.end]
            yield case, max(sign * score for score in seen) - sign * track.scores[track.end]


def _transferred(tracks: Tracks) -> Iterable[tuple[str, float]]:
    for case, track in tracks.items():
        first, last = track.position, track.end
        if first is not None and first < last and first in track.scores:
            yield case, track.scores[last] - track.scores[first]


def _drifted(tracks: Tracks) -> Iterable[tuple[str, float]]:
    for case, track in tracks.items():
        before = [state for state in track.scores if track.position is not None and state < track.position]
        if before and track.floor is not None:
            yield case, track.scores[max(before)] - track.floor


def _ages(tracks: Tracks, asked: Asked) -> dict[Bin, Mean]:
    found: dict[Bin, list[tuple[str, float]]] = defaultdict(list)
    for case, track in tracks.items():
        for state in track.scores.keys() & {*asked.checkpoints, *([track.end] if asked.end else [])}:
            if track.position is not None and track.position <= state:
                found[age_bin(state - track.position)].append((case, track.scores[state]))
    return {each: estimate for each in sorted(found) if (estimate := mean(found[each])) is not None}

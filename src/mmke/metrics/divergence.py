"""Locality as divergence: how far the edited model's token distribution moved, KL(before ‖ after) in nats.

Agreement only sees tokens that change places; the divergence also sees probability that shifts beneath them.
Reported under the top-1 protocol, at the answer positions; the published benchmark has no such column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from mmke.metrics.locality import check_positions, locality_ask, paired_answers
from mmke.types import Answer, Ask, Metric, Probe, ProbeKind, Role, Score, Switches


def mean_kl(before: Float[np.ndarray, "positions vocab"], after: Float[np.ndarray, "positions vocab"]) -> float:
    """Return the mean KL(before ‖ after) per position in nats, from log-probabilities, summed in float64.

    Infinite where `after` rules out a token that `before` allows; NaN where an input is NaN. A token that
    `before` rules out adds nothing.
    """
    total = 0.0
    # Row by row: the whole in float64 would hold several copies of both arrays.
    for old_row, new_row in zip(before, after, strict=True):
        old, new = old_row.astype(np.float64), new_row.astype(np.float64)
        allowed = ~np.isneginf(old)
        total += float(np.sum(np.exp(old[allowed]) * (old[allowed] - new[allowed])))
    return total / len(before)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Mean KL per answer position in nats: 0 when nothing changed, without upper bound."""

    ask: Ask
    reference: Literal["base", "previous edit"] | None
    name: str = "divergence"
    roles: tuple[Role, ...] = ("locality",)
    unit: str = "nats"
    higher_is_better: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: ProbeKind) -> str:
        """Return `t_loc_kl` or `i_loc_kl`."""
        return f"{kind.name}_kl"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Compare the two models' distributions for one probe; NaN with a reason where KL is undefined.

        Raises:
            ValueError: an answer is missing, lacks log-probabilities, or the positions differ.
        """
        reference, edited = paired_answers(before, after)
        if reference.logprobs is None or edited.logprobs is None:
            raise ValueError("divergence needs log-probabilities; ask with logprobs=True")
        check_positions(len(reference.logprobs), len(edited.logprobs))
        if len(reference.logprobs) == 0:
            return Score(value=float("nan"), n_scored=0, reason="the answer has no position to compare")
        value = mean_kl(reference.logprobs, edited.logprobs)
        if not np.isfinite(value):
            return Score(value=float("nan"), n_scored=0, reason=f"the divergence is {value}, not a finite number")
        return Score(value=value, n_scored=len(reference.logprobs))


def make(switches: Switches) -> Sequence[Metric]:
    """Return the divergence under the top-1 protocol, nothing under the published one."""
    if switches.locality_match != "top1":
        return ()
    ask = replace(locality_ask(switches), logprobs=True)
    return (Divergence(ask=ask, reference=switches.reference),)

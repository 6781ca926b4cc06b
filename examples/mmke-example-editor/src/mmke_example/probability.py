"""How probable the gold answer is: the geometric mean of its tokens' probabilities.

Token accuracy counts a token only where it is the most probable one; this also shows a probability that rises below
that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mmke.types import Answer, Ask, Metric, Probe, ProbeKind, Role, Score, Switches


@dataclass(frozen=True)
class Probability:
    """The mean probability per token of the gold answer, in [0, 1]."""

    ask: Ask
    name: str = "probability"
    roles: tuple[Role, ...] = ("recall", "relation")
    reference: Literal["base", "previous edit"] | None = None
    unit: str = "per cent"
    higher_is_better: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: ProbeKind) -> str:
        """Return the name that a kind of probe has in tables, such as `t_rel_prob`."""
        return f"{kind}_prob"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Score one answer; an answer without a token of the target cannot be scored."""
        if not after.target_ids:
            return Score(math.nan, 0, "the gold answer has no token")
        return Score(math.exp(after.target_logprob), len(after.target_ids))


def make(switches: Switches) -> Sequence[Metric]:
    """The gold answer's probability, a geometric mean over its tokens."""
    return (Probability(Ask(labels=switches.labels)),)

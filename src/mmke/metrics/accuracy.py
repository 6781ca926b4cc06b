"""Teacher-forced token accuracy, the published benchmark's measure for every probe with a gold answer.

In: the token ids that the model found most probable, and those of the gold answer. Out: the share that are equal. The
model reads the gold answer and writes nothing: a high figure does not mean that it would write the answer
(`exact-match` measures that).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mmke.types import Answer, Ask, Metric, Probe, ProbeKind, Role, Score, Switches


def token_accuracy(predicted: Sequence[int], target: Sequence[int]) -> Score:
    """Return the share of target tokens that were predicted; NaN when there is no target token.

    Raises:
        ValueError: the two differ in length, so that tokens cannot be paired.
    """
    if len(predicted) != len(target):
        raise ValueError(
            f"{len(predicted)} predicted ids for {len(target)} target ids; an answer has one id per target token"
        )
    if not target:
        return Score(value=float("nan"), n_scored=0, reason="the gold answer has no token")
    hits = sum(token == gold for token, gold in zip(predicted, target, strict=True))
    return Score(value=hits / len(target), n_scored=len(target))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Token accuracy of recall and relation probes; the column is the probe's kind."""

    ask: Ask
    name: str = "accuracy"
    roles: tuple[Role, ...] = ("recall", "relation")
    reference: Literal["base", "previous edit"] | None = None
    unit: str = "per cent"
    higher_is_better: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: ProbeKind) -> str:
        """Return the kind's own name: accuracy is the first figure of these kinds."""
        return kind.name

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Score the most probable ids of the edited model against the gold answer's tokens."""
        return token_accuracy(after.token_ids, after.target_ids)


def make(switches: Switches) -> Sequence[Metric]:
    """Return the accuracy metric with the labels of the protocol."""
    return (Accuracy(ask=Ask(decode="loglikelihood", labels=switches.labels, top=1)),)

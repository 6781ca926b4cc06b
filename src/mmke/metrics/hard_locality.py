"""Hard locality: does an edit speak where the unedited model should?

There is often no gold answer to such a question. So the reference answer is what the unedited model writes by itself,
and both models are fed it (`agree`). Two further scores are of the gold answer that stands with the probe: what an edit
says that speaks out of turn (`mmke.benchmarks.probes.hard`). Both protocols score alike.

* `agree`: share of the reference answer's positions at which both models find the same token most probable. The figure
  of the kind: the unedited model has 1.
* `leak`: token accuracy of the gold answer, edited minus unedited. Positive: the edit speaks where it should not.
* `devqa`: share of the gold answer's positions at which the edited model finds another token most probable, for
  comparison with De-VQA (arXiv:2511.13243). A model that says garbage everywhere has 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from mmke.metrics.accuracy import token_accuracy
from mmke.metrics.agreement import rank_agreement
from mmke.metrics.locality import check_positions, paired_answers
from mmke.types import Answer, Ask, Metric, Probe, ProbeKind, Role, Score, Switches

ROLES: tuple[Role, ...] = ("hard locality",)


@dataclass(frozen=True, slots=True)
class Agree:
    """Agreement on what the unedited model writes; the column is the probe's kind."""

    name: str = "agree"
    roles: tuple[Role, ...] = ROLES
    ask: Ask = field(default_factory=lambda: Ask(target="unedited"))
    reference: Literal["base", "previous edit"] | None = "base"
    unit: str = "per cent"
    higher_is_better: bool = True

    @property
    def parameters(self) -> Mapping[str, Any]:
        """How long the reference answer can be, in tokens."""
        return {"max_new": self.ask.max_new}

    def column(self, kind: ProbeKind) -> str:
        """Return the kind's own name: agreement is the first figure of these kinds."""
        return kind.name

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Compare the most probable tokens of the two models.

        Raises:
            ValueError: no reference answer, or answers with different positions.
        """
        reference, edited = paired_answers(before, after)
        check_positions(len(reference.token_ids), len(edited.token_ids))
        return rank_agreement(*(np.array([each.token_ids], dtype=np.int64).T for each in (reference, edited)))


@dataclass(frozen=True, slots=True)
class Leak:
    """Token accuracy of the gold answer, edited minus unedited; in [-1, 1]."""

    name: str = "leak"
    roles: tuple[Role, ...] = ROLES
    ask: Ask = field(default_factory=Ask)
    reference: Literal["base", "previous edit"] | None = "base"
    unit: str = "per cent"
    higher_is_better: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: ProbeKind) -> str:
        """Return such as `ci_picture_leak`."""
        return f"{kind.name}_leak"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Compare how often the two models find the gold answer's token most probable.

        Raises:
            ValueError: no reference answer.
        """
        reference, edited = (token_accuracy(each.token_ids, each.target_ids) for each in paired_answers(before, after))
        return edited if edited.reason else replace(edited, value=edited.value - reference.value)


@dataclass(frozen=True, slots=True)
class DeVQA:
    """Share of the gold answer that the edited model does not say, as De-VQA scores."""

    name: str = "devqa"
    roles: tuple[Role, ...] = ROLES
    ask: Ask = field(default_factory=Ask)
    reference: Literal["base", "previous edit"] | None = None
    unit: str = "per cent"
    higher_is_better: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def column(self, kind: ProbeKind) -> str:
        """Return such as `ci_picture_devqa`."""
        return f"{kind.name}_devqa"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Count the gold answer's tokens that the edited model does not find most probable."""
        said = token_accuracy(after.token_ids, after.target_ids)
        return said if said.reason else replace(said, value=1.0 - said.value)


def make_agree(switches: Switches) -> Sequence[Metric]:
    """Return the agreement on what the unedited model writes; no switch touches it."""
    return (Agree(),)


def make_leak(switches: Switches) -> Sequence[Metric]:
    """Return the leak of the edit; no switch touches it."""
    return (Leak(),)


def make_devqa(switches: Switches) -> Sequence[Metric]:
    """Return De-VQA's score; no switch touches it."""
    return (DeVQA(),)

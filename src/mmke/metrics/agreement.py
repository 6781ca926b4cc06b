"""Locality as agreement: does the edited model find the same tokens most probable as the reference model?

Two protocols (`Switches.locality_match`):

* "top1": share of answer positions with the same first token, for text and picture alike; beside it the
  overlap of the ten most probable tokens as a set (`t_loc_top10`, `i_loc_top10`).
* "ranks": the published arithmetic: the share of entries of the two rankings that are equal rank by rank,
  with k = 1 for text and 10 for pictures. Where the reference is the previous record's edited model, the
  comparison with the unedited model stands beside it (`t_loc_base`, `i_loc_base`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from mmke.metrics.locality import TOP, locality_ask, paired_ranks
from mmke.types import Answer, Ask, Metric, Probe, ProbeKind, Role, Score, Switches


class Depth(NamedTuple):
    """How many ranks are compared for a question in text alone, and for one about a picture."""

    text: int
    picture: int


PUBLISHED_DEPTH = Depth(text=1, picture=TOP)
"""How many ranks the published code compares."""


def rank_agreement(before: Int[np.ndarray, "positions k"], after: Int[np.ndarray, "positions k"]) -> Score:
    """Return the share of equal entries, rank by rank; NaN without positions.

    Source: MMKE-Bench, arXiv:2502.19870; swapping two ranks costs both, and a list that moves up by one agrees nowhere.
    """
    if before.size == 0:
        return _without_positions()
    return Score(value=float((before == after).mean()), n_scored=int(before.size))


def set_overlap(before: Int[np.ndarray, "positions k"], after: Int[np.ndarray, "positions k"]) -> Score:
    """Return the share of ids that both rankings hold, averaged over positions; NaN without positions."""
    if before.size == 0:
        return _without_positions()
    shared = (before[:, :, None] == after[:, None, :]).any(axis=2)
    return Score(value=float(shared.mean()), n_scored=int(before.size))


def _without_positions() -> Score:
    return Score(value=float("nan"), n_scored=0, reason="the answer has no position to compare")


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Agreement rank by rank over the `depth` most probable ids; column: kind and suffix."""

    name: str
    ask: Ask
    reference: Literal["base", "previous edit"] | None
    depth: Depth
    suffix: str = ""
    roles: tuple[Role, ...] = ("locality",)
    unit: str = "per cent"
    higher_is_better: bool = True

    @property
    def parameters(self) -> Mapping[str, Any]:
        """How many ranks are compared."""
        return {"ranks": self.depth._asdict()}

    def column(self, kind: ProbeKind) -> str:
        """Return such as `t_loc`, or `t_loc_base` for the comparison with the unedited model."""
        return f"{kind.name}{self.suffix}"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Compare the two models' rankings of one probe.

        Raises:
            ValueError: no reference answer, or answers with different positions.
        """
        depth = self.depth.text if probe.query.image is None else self.depth.picture
        return rank_agreement(*paired_ranks(before, after, depth))


@dataclass(frozen=True, slots=True)
class SetOverlap:
    """Overlap of the ten most probable ids as a set; the column is the kind and `_top10`."""

    ask: Ask
    reference: Literal["base", "previous edit"] | None
    name: str = "agreement-top10"
    roles: tuple[Role, ...] = ("locality",)
    unit: str = "per cent"
    higher_is_better: bool = True

    @property
    def parameters(self) -> Mapping[str, Any]:
        """How many ids of each position are compared."""
        return {"k": TOP}

    def column(self, kind: ProbeKind) -> str:
        """Return `t_loc_top10` or `i_loc_top10`."""
        return f"{kind.name}_top{TOP}"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Compare the two models' most probable tokens, in any order.

        Raises:
            ValueError: no reference answer, or answers with different positions.
        """
        return set_overlap(*paired_ranks(before, after, TOP))


def make(switches: Switches) -> Sequence[Metric]:
    """Return the agreement metrics of a protocol; `switches` are those resolved for the editor at hand."""
    ask = locality_ask(switches)
    if switches.locality_match == "top1":
        return (
            RankAgreement(name="agreement", ask=ask, reference=switches.reference, depth=Depth(1, 1)),
            SetOverlap(ask=ask, reference=switches.reference),
        )
    published = RankAgreement(name="agreement", ask=ask, reference=switches.reference, depth=PUBLISHED_DEPTH)
    if switches.reference == "base":
        return (published,)
    beside = RankAgreement(name="agreement-base", ask=ask, reference="base", depth=PUBLISHED_DEPTH, suffix="_base")
    return (published, beside)

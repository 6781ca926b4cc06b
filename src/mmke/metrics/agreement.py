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
from typing import Literal

import numpy as np
from jaxtyping import Int

from mmke.metrics.locality import TOP, locality_ask, paired_ranks
from mmke.types import LOCALITY_KINDS, Answer, Ask, Metric, Probe, ProbeKind, Score, Switches

PUBLISHED_K: Mapping[ProbeKind, int] = {"t_loc": 1, "i_loc": TOP}
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
    """Agreement rank by rank over the `depth` most probable ids of each kind; column: kind and suffix."""

    name: str
    ask: Ask
    reference: Literal["base", "previous edit"] | None
    depth: Mapping[ProbeKind, int]
    suffix: str = ""
    kinds: tuple[ProbeKind, ...] = LOCALITY_KINDS

    def column(self, kind: ProbeKind) -> str:
        """Return such as `t_loc`, or `t_loc_base` for the comparison with the unedited model."""
        return f"{kind}{self.suffix}"

    def score(self, probe: Probe, before: Answer | None, after: Answer) -> Score:
        """Compare the two models' rankings of one probe.

        Raises:
            ValueError: no reference answer, or answers with different positions.
        """
        return rank_agreement(*paired_ranks(before, after, self.depth[probe.kind]))


@dataclass(frozen=True, slots=True)
class SetOverlap:
    """Overlap of the ten most probable ids as a set; the column is the kind and `_top10`."""

    ask: Ask
    reference: Literal["base", "previous edit"] | None
    name: str = "agreement-top10"
    kinds: tuple[ProbeKind, ...] = LOCALITY_KINDS

    def column(self, kind: ProbeKind) -> str:
        """Return `t_loc_top10` or `i_loc_top10`."""
        return f"{kind}_top{TOP}"

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
        first = dict.fromkeys(LOCALITY_KINDS, 1)
        return (
            RankAgreement(name="agreement", ask=ask, reference=switches.reference, depth=first),
            SetOverlap(ask=ask, reference=switches.reference),
        )
    published = RankAgreement(name="agreement", ask=ask, reference=switches.reference, depth=PUBLISHED_K)
    if switches.reference == "base":
        return (published,)
    beside = RankAgreement(name="agreement-base", ask=ask, reference="base", depth=PUBLISHED_K, suffix="_base")
    return (published, beside)

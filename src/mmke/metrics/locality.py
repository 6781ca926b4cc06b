"""What the locality metrics share: how locality probes are asked, and which positions face each other.

`agreement` and `divergence` ask alike but for the log-probabilities, so that one forward pass serves both.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from mmke.types import Answer, Ask, Switches

TOP = 10
"""Ids kept per position: the published image locality compares ten."""


class RankedPair(NamedTuple):
    """The most probable ids of the reference and of the edited model at the same positions, best first."""

    before: Int[np.ndarray, "positions k"]
    after: Int[np.ndarray, "positions k"]


def locality_ask(switches: Switches) -> Ask:
    """Return how the locality metrics of a protocol ask; the divergence wants log-probabilities besides."""
    return Ask(
        decode="loglikelihood",
        labels=switches.labels,
        positions=switches.locality_positions,
        top=TOP,
        native_topk=switches.topk_dtype == "native",
    )


def paired_answers(before: Answer | None, after: Answer) -> tuple[Answer, Answer]:
    """Return both answers.

    Raises:
        ValueError: there is no reference answer to compare with.
    """
    if before is None:
        raise ValueError("locality compares two models, but the reference model's answer is missing")
    return before, after


def paired_ranks(before: Answer | None, after: Answer, k: int) -> RankedPair:
    """Return the first `k` ids per position of both answers.

    Raises:
        ValueError: the answers differ in their number of positions, or hold fewer than `k` ids per position.
    """
    reference, edited = paired_answers(before, after)
    old, new = reference.top_ids, edited.top_ids
    check_positions(old.shape[0], new.shape[0])
    if len(old) and min(old.shape[1], new.shape[1]) < k:
        raise ValueError(f"top-{k} agreement needs {k} ids per position, got {old.shape[1]} and {new.shape[1]}")
    return RankedPair(before=old[:, :k], after=new[:, :k])


def check_positions(before: int, after: int) -> None:
    """Refuse answers whose positions do not face each other.

    Raises:
        ValueError: the counts differ.
    """
    if before != after:
        raise ValueError(
            f"locality compares position by position, but the reference model answered at {before} positions "
            f"and the edited model at {after}; an editor that changes the prompt's length must be asked at "
            "the answer positions"
        )

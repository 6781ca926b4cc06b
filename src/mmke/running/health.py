"""Whether an edited model still writes sense: perplexity of a fixed text, fixed sentences continued, all finite.

In: a session, as it stands at a checkpoint of a stream. Out: a `Look`, and with that of the unedited model the
`StateRecord` of `states.jsonl`. All is asked through the session, so that an editor's gate or memory takes part.

The text and the beginnings of sentences stand in `health.toml`; no benchmark asks them.
"""

import math
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

import torch

from mmke.protocols import Answerer, EditSession
from mmke.results.states import StateRecord
from mmke.running.asking import answers_of
from mmke.types import Answer, Ask, Probe, ProbeKind, Query

COLLAPSE, WARNING = 10.0, 2.0
"""Times the unedited model's perplexity."""
REPEATED = 0.5
"""Share of the written answers from which a model counts as collapsed."""
AGREEMENT = 0.2
"""Mean agreement on locality below which a model counts as collapsed."""
SHORTEST = 4
"""Tokens from which an answer can count as one token repeated."""
TOGETHER = 2
"""Passages that are asked in one call: logits take rows × vocabulary × 4 bytes."""

KIND = ProbeKind("health", "Health", "locality")
READING = Ask()
WRITING = Ask(decode="generate", max_new=8)


class Passage(NamedTuple):
    """One passage: the sum of its tokens' negative log-probabilities, and how many tokens the model makes of it."""

    nats: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a model makes of the fixed text and the beginnings of sentences.

    Attributes:
        passages: of each passage of the text how probable it is; None: it cannot be asked.
        repeated: how many of the sentences are continued with one token repeated.
        written: how many sentences were continued.
        broken: what is not finite, in words; None: nothing.
    """

    passages: tuple[Passage | None, ...]
    repeated: int
    written: int
    broken: str | None = None

    def perplexity(self, other: "Look") -> float:
        """Return the perplexity over all tokens of the passages that both models were asked.

        NaN or infinity where the logits are not finite, or nothing could be asked.
        """
        both = [own for own, theirs in zip(self.passages, other.passages, strict=True) if own and theirs]
        tokens = sum(passage.tokens for passage in both)
        return _exp(sum(passage.nats for passage in both) / tokens) if tokens else math.nan


def look(answerer: EditSession | Answerer) -> Look:
    """Ask a session, or an unedited backbone, for the fixed text and for the ends of sentences.

    That is a forward pass over about 2,500 tokens and eight steps of writing; what lies below the edit is kept in the
    session's store, and costs nothing the next time.
    """
    passages, beginnings = asked()
    pairs = [passages[begin : begin + TOGETHER] for begin in range(0, len(passages), TOGETHER)]
    read = [answer for pair in pairs for answer in answers_of(answerer, pair, [READING] * len(pair))]
    written = [each for each in answers_of(answerer, beginnings, [WRITING] * len(beginnings)) if each.reason is None]
    return Look(
        passages=tuple(map(_passage, read)),
        repeated=sum(map(_repeats, written)),
        written=len(written),
        broken=_broken(answerer, read),
    )


def _passage(answer: Answer) -> Passage | None:
    tokens = len(answer.target_ids)
    return None if answer.reason is not None else Passage(-answer.target_logprob * tokens, tokens)


def asked() -> tuple[list[Probe], list[Probe]]:
    """Return the passages, each as the answer to its question, and the beginnings of sentences to be continued."""
    plain: dict[str, Any] = tomllib.loads((files("mmke.running") / "health.toml").read_text(encoding="utf-8"))
    passages = [Probe(KIND, Query(each["question"]), each["answer"].strip()) for each in plain["passages"]]
    return passages, [Probe(KIND, Query(text), "") for text in plain["beginnings"]]


def judge(
    seen: Look, unedited: Look, *, edits_applied: int, agreement: float | None = None, step: int | None = None
) -> StateRecord:
    """Return what is recorded of a state, with the reasons for which it counts as collapsed.

    Args:
        seen: what the edited model made of the fixed text and sentences.
        unedited: what the unedited model made of them.
        edits_applied: how many cases were in the model.
        agreement: mean agreement with the unedited model on locality in this state, in [0, 1]; None: not asked.
        step: number of the stream's last step before this state.
    """
    perplexity, before = seen.perplexity(unedited), unedited.perplexity(seen)
    grown = f"the perplexity is {perplexity:.4g}, {perplexity / before:.3g} times the unedited model's"
    reasons = [
        *([seen.broken] if seen.broken is not None else [grown] if perplexity > COLLAPSE * before else []),
        *_reasons(seen, unedited, agreement),
    ]
    return StateRecord(
        edits_applied=edits_applied,
        perplexity=perplexity,
        perplexity_unedited=before,
        repeated=_share(seen),
        agreement=agreement,
        finite=seen.broken is None,
        collapsed="; ".join(reasons) or None,
        warning=grown if not reasons and perplexity > WARNING * before else None,
        step=step,
    )


def _reasons(seen: Look, unedited: Look, agreement: float | None) -> Iterator[str]:
    """Yield why a state counts as collapsed, by what it writes and by its locality."""
    # A random model repeats itself before any edit.
    if _share(seen) >= REPEATED > _share(unedited):
        yield f"{seen.repeated} of {seen.written} written answers are one token repeated"
    if agreement is not None and agreement < AGREEMENT:
        yield f"on locality {100 * agreement:.1f} % of the answers agree with the unedited model's"


def _share(seen: Look) -> float:
    return seen.repeated / max(seen.written, 1)


def _repeats(answer: Answer) -> bool:
    return len(answer.token_ids) >= SHORTEST and len(set(answer.token_ids)) == 1


def _exp(nats: float) -> float:
    """Return e to a number; infinity beyond the largest float."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def _broken(answerer: EditSession | Answerer, read: Sequence[Answer]) -> str | None:
    """Say what is not finite; None where all is."""
    if isinstance(answerer, EditSession):
        for name, tensor in answerer.state().tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                return f"the edited tensor {name} is not finite"
    finite = all(math.isfinite(answer.target_logprob) for answer in read if answer.reason is None)
    return None if finite else "the logits are not finite"

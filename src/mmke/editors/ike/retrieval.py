"""Which demonstrations an edit gets: the nearest by sentence embedding, or random ones.

Three sentences a training record, encoded by all-MiniLM-L6-v2 with the library's defaults (input beyond 256 word pieces
is cut), cosine similarity, most similar first. Source: IKE, arXiv:2305.12740, with the forms of MMKE-Bench.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from mmke.editing.sentence_encoder import SentenceEncoder
from mmke.types import EditCase


def fact(question: str, target: str) -> str:
    """Return the first line of a demonstration or of an edit's own prompt."""
    return f"New Fact: {question} {target}\nPrompt: "


def sentences(case: EditCase) -> list[str]:
    """Return a training record's demonstrations: its own prompt, its paraphrase, its text locality question.

    A question that the record lacks is left out.
    """
    edit = case.edits[0]
    head = fact(edit.query.text, edit.target)
    by_kind = {probe.kind.name: probe for probe in case.probes}
    others = [by_kind[kind] for kind in ("rephrase", "t_loc") if kind in by_kind]
    return [
        own_sentence(edit.query.text, edit.target),
        *(f"{head}{probe.query.text} {probe.target}\n\n" for probe in others),
    ]


def own_sentence(question: str, target: str) -> str:
    """Return the demonstration that asks an edit's own prompt."""
    return f"{fact(question, target)}{question} {target}\n\n"


@dataclass(frozen=True, eq=False)
class Nearest:
    """The `count` sentences of the corpus that are most similar to the edit's own."""

    corpus: Sequence[str]
    count: int
    encoder: SentenceEncoder

    def prepare(self) -> None:
        """Load the encoder and embed the corpus, once, so that no edit's time includes it."""
        _ = self._embeddings

    def choose(self, own: str) -> list[str]:
        """Return demonstrations, most similar first."""
        similarity = self._embeddings @ self.encoder.embed([own])[0]
        order = similarity.sort(descending=True, stable=True).indices[: self.count].tolist()
        return [self.corpus[i] for i in order]

    @cached_property
    def _embeddings(self) -> Tensor:
        return self.encoder.embed(list(self.corpus))


@dataclass(frozen=True)
class Random:
    """`count` sentences of the corpus without replacement, by the seed and the edit alone, whatever the order."""

    corpus: Sequence[str]
    count: int
    seed: int

    def prepare(self) -> None:
        """Do nothing: drawing needs no preparation."""

    def choose(self, own: str) -> list[str]:
        """Return demonstrations."""
        draw = random.Random(f"{self.seed} {own}")  # noqa: S311 - a draw, not a secret
        return draw.sample(self.corpus, min(self.count, len(self.corpus)))

"""Answers made by hand from logits, without any model."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mmke.types import Answer, Probe, ProbeKind, Query

MakeAnswer = Callable[..., Answer]
MakeProbe = Callable[..., Probe]


@pytest.fixture
def probe() -> MakeProbe:
    def make(kind: ProbeKind, target: str = "gold") -> Probe:
        return Probe(kind=kind, query=Query("a question"), target=target)

    return make


@pytest.fixture
def forced() -> MakeAnswer:
    """Answer from the logits of the rows that are compared; `target` are the gold ids, if any."""

    def make(logits: Sequence[Sequence[float]] | np.ndarray, target: Sequence[int] = (), top: int = 10) -> Answer:
        rows = np.asarray(logits, dtype=np.float32)
        logprobs = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
        ranked = np.argsort(-rows, axis=1, kind="stable")[:, :top]
        said = tuple(int(row[0]) for row in ranked)[: len(target)]
        return Answer("", said, tuple(target), 0.0, ranked.astype(np.int64), logprobs)

    return make


@pytest.fixture
def written() -> MakeAnswer:
    def make(text: str) -> Answer:
        return Answer(text, (1,), (), float("nan"), np.zeros((0, 0), dtype=np.int64))

    return make

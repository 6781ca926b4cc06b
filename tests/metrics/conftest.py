"""Answers made by hand from logits, without any model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mmke.benchmarks.probes.published import KINDS
from mmke.types import Answer, ImageRef, Probe, Query

MakeAnswer = Callable[..., Answer]
MakeProbe = Callable[..., Probe]


@pytest.fixture
def probe() -> MakeProbe:
    by_name = {kind.name: kind for kind in KINDS}

    def make(kind: str, target: str = "gold") -> Probe:
        picture = ImageRef(Path("picture.png"), "0") if kind.startswith("i") else None
        return Probe(kind=by_name[kind], query=Query("a question", picture), target=target)

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

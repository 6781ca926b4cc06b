"""What the edited model is compared with comes back bit for bit, from memory or from disk."""

import math
from pathlib import Path

import numpy as np
import pytest

from mmke.backbones.engine.disk import OnDisk
from mmke.running import references
from mmke.running.references import References
from mmke.running.scoring import Answers
from mmke.types import Answer, Ask

PLAIN, FULL = Ask(), Ask(logprobs=True)
BYTES = 2 * 50 * 4


def said(seed: int) -> Answers:
    draw = np.random.default_rng(seed).normal(size=(2, 50)).astype(np.float32)
    ids = np.zeros((2, 1), dtype=np.int64)
    bare = Answer("x", (1, 2), (1, 2), -1.0, ids)
    return {(0, PLAIN): bare, (0, FULL): Answer("x", (1, 2), (1, 2), -1.0, ids, logprobs=draw), (1, FULL): bare}


def same(one: Answers, other: Answers) -> bool:
    return one.keys() == other.keys() and all(
        one[key].text == other[key].text and np.array_equal(_numbers(one[key]), _numbers(other[key])) for key in one
    )


def _numbers(answer: Answer) -> np.ndarray:
    return np.zeros(0) if answer.logprobs is None else answer.logprobs


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> References:
    """Room for two cases in memory."""
    monkeypatch.setattr(references, "IN_MEMORY", 2 * BYTES)
    return References(OnDisk(1 << 20, tmp_path))


def test_answers_come_back_whether_memory_has_room_or_not(kept: References) -> None:
    for number in range(5):
        kept.keep(str(number), "base", said(number))
        kept.keep(str(number), "previous edit", said(-number - 1 + 100))
    for number in range(5):
        found = kept.of(str(number))
        assert list(found) == ["base", "previous edit"]
        assert same(found["base"], said(number))
        assert same(found["previous edit"], said(-number - 1 + 100))
    assert kept.held == 2 * BYTES
    assert kept.on_disk.held > 0


def test_forgetting_makes_room_in_memory(kept: References) -> None:
    for number in range(40):
        kept.keep(str(number), "base", said(number))
        kept.forget(str(number))
    assert (kept.held, kept.on_disk.held) == (0, 0)
    with pytest.raises(KeyError):
        kept.of("39")


def test_a_disk_without_room_leaves_all_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "IN_MEMORY", 0)
    kept = References(OnDisk(0, tmp_path))
    for number in range(5):
        kept.keep(str(number), "base", said(number))
    assert all(same(kept.of(str(number))["base"], said(number)) for number in range(5))
    assert kept.held == 5 * BYTES


def test_a_disk_that_loses_what_was_written_is_told(kept: References, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        kept.keep(str(number), "base", said(number))
    monkeypatch.setattr(OnDisk, "find", lambda self, key: None)
    assert same(kept.of("0")["base"], said(0))
    with pytest.raises(OSError, match="what base answered to 2 cannot be read back"):
        kept.of("2")


def test_numbers_that_may_not_be_written_to_are_kept_too(kept: References) -> None:
    answers = said(7)
    logprobs = answers[0, FULL].logprobs
    assert logprobs is not None
    logprobs.flags.writeable = False
    kept.keep("a", "base", answers)
    assert same(kept.of("a")["base"], said(7))
    assert math.isfinite(float(_numbers(kept.of("a")["base"][0, FULL]).sum()))

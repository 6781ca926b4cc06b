"""Reading answers off logits: the numbers of the published formula."""

import numpy as np
import pytest
import torch

from mmke import registry
from mmke.backbones.engine import answering
from mmke.backbones.engine.answering import read_off, top_ids
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.probes.published import T_REL
from mmke.protocols import Cut, Encoded
from mmke.types import Answer, Ask, Probe, Query

# Six rows whose most probable ids are 0, 1, 2, 4, 3, 1 (logit 4 there, 0 elsewhere); rows 2 to 4 predict the answer.
ROWS = torch.zeros(6, 5).scatter(1, torch.tensor([[0], [1], [2], [4], [3], [1]]), 4.0)


def forced(
    logits: torch.Tensor,
    target: tuple[int, ...],
    rows: tuple[int, ...],
    *,
    ask: Ask = Ask(positions="all"),  # noqa: B008
) -> Answer:
    backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    encoded = Encoded((0,) * 6, target, tuple(range(6)), rows)
    return read_off(backbone, [encoded], [logits], [ask])[0]


def test_predictions_and_log_probability_come_from_the_rows_before_the_answer() -> None:
    answer = forced(ROWS, (2, 3, 3), (2, 3, 4))
    assert answer.token_ids == (2, 4, 3)
    assert answer.target_logprob == pytest.approx(-1.4040364, abs=1e-6)


def test_token_id_zero_is_a_label_like_any_other() -> None:
    answer = forced(torch.zeros(6, 5).index_fill(1, torch.tensor([0]), 1.0), (0, 0, 1), (2, 3, 4))
    assert answer.token_ids == (0, 0, 0)


def test_ties_are_ordered_by_id() -> None:
    assert top_ids(torch.tensor([[0.0, 2.0, 1.0, 2.0, 1.0]]), 4, native=False).tolist() == [[1, 3, 2, 4]]


def test_in_half_precision_far_tails_tie_at_zero() -> None:
    logits = torch.tensor([[20.0, 2.0, 1.0, 0.5, 0.2]])
    assert logits.half().softmax(-1).tolist() == [[1.0, 0.0, 0.0, 0.0, 0.0]]
    assert top_ids(logits, 3, native=True).tolist() == [[0, 1, 2]]


def test_ranks_are_taken_in_the_precision_that_was_asked_for() -> None:
    logits = torch.tensor([[20.0, 0.2, 0.5, 1.0, 2.0]] * 6).half()
    ranks = {
        native: forced(logits, (0,), (4,), ask=Ask(positions="all", top=3, native_topk=native)).top_ids[0].tolist()
        for native in (False, True)
    }
    assert ranks[False] == [0, 4, 3]
    assert ranks[True] != ranks[False]


def test_very_long_answers_are_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    probes = [Probe(T_REL, Query("What is it?"), "a " * n) for n in (1, 20, 3, 30)]
    together, rows, store = backbone.answer(probes, Ask()), [], MemoryStore()
    hook = backbone.decoder.head.register_forward_hook(lambda _, __, logits: rows.append(len(logits)))
    monkeypatch.setattr(answering, "LONG_ANSWER", 20)
    apart = answering.answer(backbone, probes, Ask(), store=store, cut=Cut("mlp", 2))
    hook.remove()
    assert rows == [2 + 6, 40, 60]
    for one, other in zip(together, apart, strict=True):
        assert one.token_ids == other.token_ids
        assert one.target_logprob == pytest.approx(other.target_logprob, abs=1e-5)


def test_probes_that_are_read_off_together_say_what_each_says_alone() -> None:
    backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    encoded = [
        Encoded((0,) * 4, (7,), (2,), (0,)),
        Encoded((0,) * 9, (5, 250, 2), (5, 6, 7), (0, 1, 2)),
        Encoded((0,) * 6, (1, 1), tuple(range(6)), (3, 4)),
    ]
    logits = [torch.randn(len(each.rows), backbone.vocabulary) for each in encoded]
    for asks in ([Ask()] * 3, [Ask(logprobs=True), Ask(top=10, logprobs=True), Ask(positions="all", native_topk=True)]):
        together = answering.read_off(backbone, encoded, logits, asks)
        for each, *one in zip(together, encoded, logits, asks, strict=True):
            (alone,) = answering.read_off(backbone, *([thing] for thing in one))
            assert (each.text, each.token_ids, each.target_ids) == (alone.text, alone.token_ids, alone.target_ids)
            assert each.target_logprob == alone.target_logprob
            assert np.array_equal(each.top_ids, alone.top_ids)
            assert (each.logprobs is None) == (alone.logprobs is None)
            assert each.logprobs is None or np.array_equal(each.logprobs, alone.logprobs)


def test_kept_log_probabilities_keep_no_other_probes_in_memory() -> None:
    backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    encoded = [Encoded((0,) * 4, (7,), (2,), (0,)), Encoded((0,) * 9, (5,) * 8, tuple(range(8)), tuple(range(8)))]
    logits = [torch.randn(len(each.rows), backbone.vocabulary) for each in encoded]
    said = answering.read_off(backbone, encoded, logits, [Ask(logprobs=True)] * 2)[0].logprobs
    assert said is not None
    assert torch.from_numpy(said).untyped_storage().nbytes() == said.nbytes

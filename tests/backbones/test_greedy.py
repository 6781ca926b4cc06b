"""When decoding stops."""

import pytest
import torch

from mmke import registry
from mmke.backbones.engine.answering import _limit
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.greedy import _goes_on
from mmke.backbones.tiny import EOS, byte_tokenizer
from mmke.benchmarks.probes.published import PORT
from mmke.types import Ask, Probe, Query


@pytest.fixture(scope="module")
def backbone() -> ComposedBackbone:
    return load("tiny-llava")


def load(name: str) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=torch.float32, device=torch.device("cpu"))


def ids(text: str) -> list[int]:
    return list(byte_tokenizer()(text)["input_ids"])


@pytest.mark.parametrize("token", [EOS, *ids("\n")], ids=["end of sequence", "newline"])
def test_a_stop_is_not_written(backbone: ComposedBackbone, token: int) -> None:
    written = ids("a")
    assert not _goes_on(written, token, 5, backbone.prompt.stops)
    assert written == ids("a")


def test_the_limit_ends_it_after_the_last_token(backbone: ComposedBackbone) -> None:
    written: list[int] = []
    assert _goes_on(written, ids("a")[0], 2, backbone.prompt.stops)
    assert not _goes_on(written, ids("b")[0], 2, backbone.prompt.stops)
    assert written == ids("ab")


@pytest.mark.parametrize(("target", "limit"), [("no", 16), ("twenty letters here!", 42)])
def test_the_limit_is_twice_the_target_or_sixteen(backbone: ComposedBackbone, target: str, limit: int) -> None:
    assert _limit(backbone, Probe(PORT, Query("why?"), target), Ask(decode="generate")) == limit


def test_a_table_of_positions_is_never_run_past() -> None:
    table = load("tiny-blip2")
    probe = Probe(PORT, Query("a" * (table.max_positions - 4)), "no")
    assert len(table.answer([probe], Ask(decode="generate"))[0].token_ids) <= 4


def test_where_a_table_of_positions_is_full_nothing_is_written() -> None:
    table = load("tiny-blip2")
    probe = Probe(PORT, Query("a" * (table.max_positions - 1)), "no")
    assert table.answer([probe], Ask(decode="generate"))[0].token_ids == ()

"""When decoding stops."""

from dataclasses import replace

import pytest
import torch

from mmke import registry
from mmke.backbones.engine.answering import _limit
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.greedy import _goes_on, _longer
from mmke.backbones.tiny import EOS, byte_tokenizer
from mmke.benchmarks.probes.published import PORT
from mmke.protocols import Written
from mmke.types import Ask, Probe, Query


@pytest.fixture(scope="module")
def backbone() -> ComposedBackbone:
    return load("tiny-llava")


def load(name: str) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=torch.float32, device=torch.device("cpu"))


def ids(text: str) -> list[int]:
    return list(byte_tokenizer()(text)["input_ids"])


@pytest.mark.parametrize("token", [EOS, *ids("\n")], ids=["end of sequence", "newline"])
def test_what_ends_an_answer_is_not_written(backbone: ComposedBackbone, token: int) -> None:
    written = Written(tuple(ids("a")), finished=False)
    assert _longer(written, token, 5, backbone.prompt.ends) == Written(tuple(ids("a")), finished=True)


@pytest.mark.parametrize("before", ["", " ", "\n", "\n \n"])
def test_a_newline_before_everything_else_is_passed_over(backbone: ComposedBackbone, before: str) -> None:
    written = Written(tuple(ids(before)), finished=False)
    longer = _longer(written, ids("\n")[0], 9, backbone.prompt.ends)
    assert longer == Written((*ids(before), *ids("\n")), finished=False)
    assert _longer(longer, EOS, 9, backbone.prompt.ends).finished


def test_the_limit_ends_it_after_the_last_token(backbone: ComposedBackbone) -> None:
    once = _longer(Written((), finished=False), ids("a")[0], 2, backbone.prompt.ends)
    assert _goes_on(once, 2)
    twice = _longer(once, ids("b")[0], 2, backbone.prompt.ends)
    assert twice == Written(tuple(ids("ab")), finished=False)
    assert not _goes_on(twice, 2)


def test_an_answer_says_whether_it_ended_by_itself(backbone: ComposedBackbone) -> None:
    way, probe = Ask(decode="generate", max_new=3), Probe(PORT, Query("why?"), "")
    (cut_off,) = backbone.answer([probe], way)
    assert (len(cut_off.token_ids), cut_off.finished) == (3, False)
    stops = replace(backbone.prompt, stop_ids=frozenset({cut_off.token_ids[1]}))
    (ended,) = replace(backbone, prompt=stops).answer([probe], way)
    assert (ended.token_ids, ended.finished) == (cut_off.token_ids[:1], True)
    assert backbone.answer([Probe(PORT, Query("why?"), "no")], Ask())[0].finished is None


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

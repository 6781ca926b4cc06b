"""Threads that share one model: an open session in one of them changes no answer of another."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from grid import first_quick
from mmke import api
from mmke.backbones.engine.answering import answer
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.probes.published import T_REL
from mmke.errors import UserError
from mmke.protocols import Cut, LowRankUpdate, Weights
from mmke.types import Answer, Ask, Edit, Probe, Query

PROBES = [Probe(T_REL, Query(text), "a flag") for text in ("What is it?", "Which flag is this one?", "Who?")]
ASKS = [Ask(), Ask(decode="generate", max_new=3)]


@pytest.fixture(scope="module", params=["tiny-llava", "tiny-blip2"])
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    loaded = api.load_backbone(request.param)
    assert isinstance(loaded, ComposedBackbone)
    return loaded


def dense(backbone: ComposedBackbone) -> Weights:
    name = f"{backbone.site('language', -1, 'mlp_out')}.weight"
    return {name: 20 * backbone.module.get_parameter(name).flip(0)}


def low_rank(backbone: ComposedBackbone) -> Weights:
    name = f"{backbone.site('language', 1, 'mlp_out')}.weight"
    rows, columns = backbone.module.get_parameter(name).shape
    return {name: LowRankUpdate(torch.linspace(-3, 3, columns)[None], torch.linspace(-3, 5, rows)[None])}


def numbers(answers: list[Answer]) -> list[tuple[object, ...]]:
    return [(each.token_ids, str(each.target_logprob)) for each in answers]


@contextmanager
def busy(work: Callable[[], object]) -> Iterator[None]:
    """Do something again and again in another thread."""
    over, failed = threading.Event(), []

    def go() -> None:
        try:
            while not over.is_set():
                work()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


@pytest.mark.parametrize("edited", first_quick([dense, low_rank]))
@pytest.mark.parametrize("ask", ASKS, ids=["teacher forcing", "writing"])
def test_unedited_questions_beside_edited_ones_in_another_thread(
    backbone: ComposedBackbone, ask: Ask, edited: Callable[[ComposedBackbone], Weights]
) -> None:
    weights, cut = edited(backbone), Cut("layer", 1)

    def edit() -> list[Answer]:
        return answer(backbone, PROBES, ask, store=MemoryStore(), cut=cut, weights=weights)

    before, after = numbers(backbone.answer(PROBES, ask)), numbers(edit())
    assert before != after
    with busy(edit), ThreadPoolExecutor(2) as pool:
        heard = list(pool.map(lambda _: numbers(backbone.answer(PROBES, ask)), range(8)))
    assert heard == [before] * 8
    with busy(lambda: backbone.answer(PROBES, ask)):
        assert [numbers(edit()) for _ in range(4)] == [after] * 4


def test_an_edit_is_made_beside_questions_in_another_thread(backbone: ComposedBackbone) -> None:
    def edited() -> list[tuple[object, ...]]:
        editor = api.load_editor("ft-llm", backbone=backbone.name, steps=3)
        with editor.open(backbone, MemoryStore()) as session:
            session.apply([Edit(Query("What is it?"), "a flag")])
            return numbers(session.answer(PROBES, Ask()))

    alone = edited()
    with busy(lambda: backbone.answer(PROBES, Ask())):
        assert edited() == alone


def test_a_model_that_is_lent_out_in_another_thread_says_so(backbone: ComposedBackbone) -> None:
    editor, before = api.load_editor("ft-llm", backbone=backbone.name, steps=1), backbone.answer(PROBES, Ask())
    with ThreadPoolExecutor(1) as pool, editor.open(backbone, MemoryStore()) as session:
        session.apply([Edit(Query("What is it?"), "a flag")])
        with session.module(), pytest.raises(UserError, match="another thread has written an edit into this model"):
            pool.submit(backbone.answer, PROBES, Ask()).result()
        assert numbers(pool.submit(backbone.answer, PROBES, Ask()).result()) == numbers(before)

"""The next edit on top of those before, for editors of weights: where it begins, and what several edits add up to."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import dense, joined
from mmke.benchmarks.open import open_benchmark
from mmke.editing import sites
from mmke.editing.factors import Factors
from mmke.editing.settings import resolve
from mmke.editing.states import persistent_bytes
from mmke.editors.ft.edit import FineTuning
from mmke.editors.mend.edit import Mend
from mmke.editors.mend.network import Networks, renewed
from mmke.errors import CannotAskError, UserError
from mmke.protocols import EditSession, LowRankUpdate, Weights
from mmke.types import PAPER, STRICT, Ask, Edit, EditCase, ImageRef, Query, Switches

ASK = Ask(logprobs=True)


@pytest.fixture(scope="module")
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-entity", data=small_data).load("eval", hop=1, switches=STRICT).cases


def mend(backbone: ComposedBackbone, cases: tuple[EditCase, ...], switches: Switches = STRICT, **changes: Any) -> Mend:
    settings = resolve("mend", backbone.name, {"rank": 8, "step": 1e-2, **changes}, protocol=switches.protocol)
    editor: Mend = registry.factory("editors", "mend")(settings, switches, train=(), seed=0)
    editor.prepare(backbone, cases[2:], store=MemoryStore())
    if editor.settings.statistics == "running":
        for case in cases[2:]:
            editor.networks().observe(editor.factors(backbone, case.edits[0], store=MemoryStore(), weights={}))
    return editor


def fine_tuning(backbone: ComposedBackbone, **changes: Any) -> FineTuning:
    settings = resolve("ft-llm", backbone.name, {"steps": 3, **changes})
    editor: FineTuning = registry.factory("editors", "ft-llm")(settings, STRICT, train=(), seed=0)
    return editor


def weights_after(editor: Any, backbone: ComposedBackbone, *batches: list[Edit]) -> dict[str, Tensor]:
    with editor.open(backbone, MemoryStore()) as session:
        for batch in batches:
            session.apply(batch)
        return whole(backbone, getattr(session, "session", session).weights)


def whole(backbone: ComposedBackbone, weights: Weights) -> dict[str, Tensor]:
    return {name: dense(backbone.module.get_parameter(name), edited) for name, edited in weights.items()}


class Identity(Networks):
    """Stands for MEND's networks: the update is −g, in factors."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, found: Mapping[str, Factors], *, observe: bool = False) -> dict[str, LowRankUpdate]:
        assert not observe
        return {name: LowRankUpdate(each.inputs, -each.gradients) for name, each in found.items()}


@pytest.mark.parametrize(("at", "expected"), [("edited weights", [1.0, 3.0]), ("unedited weights", [1.0, 4.0])])
def test_of_two_edits_of_one_number_the_second_adds_its_gradient_where_the_setting_says(
    backbone: ComposedBackbone, monkeypatch: pytest.MonkeyPatch, at: str, expected: list[float]
) -> None:
    own = {"w": torch.zeros(1, 1)}
    monkeypatch.setattr(sites, "tensors", lambda *_: own)

    def gradient(
        _editor: Mend, _backbone: object, edit: Edit, *, store: object, weights: Weights
    ) -> dict[str, Factors]:
        del store
        w = dense(own["w"], weights["w"]) if weights else own["w"]
        return {"w": Factors(torch.ones(1, 1), w - float(edit.target))}

    monkeypatch.setattr(Mend, "factors", gradient)
    settings = resolve("mend", backbone.name, {"gradients_at": at})
    editor = registry.factory("editors", "mend")(settings, STRICT, train=(), seed=0)
    editor.network = Identity()
    weights, reached = {}, []
    for target in ("1", "3"):
        weights = editor.edited(backbone, [Edit(Query("y"), target)], store=MemoryStore(), before=weights)
        reached.append(float(dense(own["w"], weights["w"])))
    assert reached == expected


def test_mend_takes_a_later_gradient_at_the_edited_weights_or_by_its_setting_at_the_unedited(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    one, other = cases[0].edits[0], cases[1].edits[0]
    own = sites.tensors(backbone, mend(backbone, cases).sites)
    for at in ("edited weights", "unedited weights"):
        editor = mend(backbone, cases, gradients_at=at)
        alone = [weights_after(editor, backbone, [edit]) for edit in (one, other)]
        both = weights_after(editor, backbone, [one], [other])
        added = {name: alone[0][name] + alone[1][name] - tensor for name, tensor in own.items()}
        apart = max(float((both[name] - added[name]).abs().max()) for name in own)
        assert (apart < 1e-6) == (at == "unedited weights")


def test_mend_moves_by_the_gradient_of_a_batchs_mean_loss(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    one, other = cases[0].edits[0], cases[1].edits[0]
    editor = mend(backbone, cases)
    networks = Networks(sites.tensors(backbone, editor.sites), rank=1, layers=0, step=1.0)
    networks.load_state_dict({name: torch.ones_like(each) for name, each in networks.state_dict().items()})
    for statistic in ("mean", "squares"):
        for name, buffer in networks.named_buffers():
            if name.endswith(statistic):
                buffer.zero_()
    editor.network = networks
    own = sites.tensors(backbone, editor.sites)
    alone = [weights_after(editor, backbone, [edit]) for edit in (one, other)]
    for name, tensor in weights_after(editor, backbone, [one, other]).items():
        expected = own[name] + sum(weights[name] - own[name] for weights in alone) / 2
        torch.testing.assert_close(tensor, expected, rtol=1e-4, atol=1e-5)


def test_mends_statistics_stand_while_it_edits(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    for switches in (STRICT, PAPER):
        editor = mend(backbone, cases, switches)
        before = {name: buffer.clone() for name, buffer in editor.networks().named_buffers()}
        weights_after(editor, backbone, *([edit] for case in cases for edit in case.edits))
        assert all(torch.equal(buffer, before[name]) for name, buffer in editor.networks().named_buffers())


def test_by_its_setting_mends_statistics_begin_again_with_a_session_and_run_on(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = mend(backbone, cases, PAPER, statistics_while_editing="running")
    trained = {name: tensor.clone() for name, tensor in editor.networks().state_dict().items()}
    edits = [edit for case in cases[:3] for edit in case.edits]
    with editor.open(backbone, MemoryStore()) as session:
        session.apply(edits[:1])
        first = {name: tensor for name, tensor in session.state().tensors.items() if name.startswith("statistics.")}
        session.apply(edits[1:2])
        state, inside = session.state(), answers(session, cases)
        session.apply(edits[2:])
        later = answers(session, cases)
        gone = Edit(Query("x", ImageRef(Path("gone.png"), "0" * 64)), "some words")
        before = session.state().tensors
        with pytest.raises(CannotAskError):
            session.apply([*edits, gone])
        assert all(torch.equal(tensor, before[name]) for name, tensor in session.state().tensors.items())
    expected = renewed(editor.networks())
    found = editor.factors(backbone, edits[0], store=MemoryStore(), weights={})
    expected(found, observe=True)
    assert all(torch.equal(first[f"statistics.{name}"], buffer) for name, buffer in expected.named_buffers())
    assert all(torch.equal(tensor, trained[name]) for name, tensor in editor.networks().state_dict().items())
    with editor.open(backbone, MemoryStore()) as session:
        session.load_state(state)
        assert answers(session, cases) == inside
        session.apply(edits[2:])
        assert answers(session, cases) == later
        with pytest.raises(UserError, match="another statistics_while_editing"):
            session.load_state(replace(state, tensors={}))


def test_statistics_that_stand_in_training_cannot_run_while_editing(backbone: ComposedBackbone) -> None:
    with pytest.raises(UserError, match="needs statistics that run in training too"):
        mend(backbone, (), statistics_while_editing="running")


def answers(session: EditSession, cases: tuple[EditCase, ...]) -> list[bytes]:
    return [answer.logprobs.tobytes() for answer in session.answer(cases[0].probes, ASK)]  # type: ignore[union-attr]


def test_under_sgd_two_edits_of_n_steps_are_one_of_2n(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    def sgd(tensors: Any, settings: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(tensors, lr=settings.learning_rate)

    edit = cases[0].edits[0]
    twice = weights_after(
        replace(fine_tuning(backbone, steps=3, learning_rate=0.1), optimizer=sgd), backbone, [edit], [edit]
    )
    once = weights_after(replace(fine_tuning(backbone, steps=6, learning_rate=0.1), optimizer=sgd), backbone, [edit])
    for name, tensor in once.items():
        assert torch.equal(tensor, twice[name])
        assert not torch.equal(tensor, backbone.module.get_parameter(name))


def test_fine_tuning_begins_each_step_with_a_new_optimizer_and_keeps_float32(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    half = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.bfloat16, device=torch.device("cpu")
    )
    editor, edit = fine_tuning(backbone), cases[0].edits[0]
    twice, longer = (
        weights_after(editor, backbone, [edit], [edit]),
        weights_after(fine_tuning(backbone, steps=6), backbone, [edit]),
    )
    assert not all(torch.equal(tensor, longer[name]) for name, tensor in twice.items())
    first, second = weights_after(editor, half, [edit]), weights_after(editor, half, [edit], [edit])
    for name, tensor in second.items():
        assert tensor.dtype == torch.float32
        assert not torch.equal(tensor, first[name])
        # A copy that was rounded between the edits would hold no other numbers.
        assert not torch.equal(first[name], first[name].bfloat16().float())


def test_updates_become_a_matrix_before_they_are_larger_than_it_and_stay_one() -> None:
    own, edited, total = torch.randn(6, 8), None, torch.zeros(6, 8)
    kinds = []
    for _ in range(5):
        update = LowRankUpdate(torch.randn(1, 8), torch.randn(1, 6))
        edited, total = joined(own, edited, update), total + update.product()
        kinds.append(isinstance(edited, Tensor))
        torch.testing.assert_close(dense(own, edited), own + total)
    assert kinds == [False, False, False, True, True]


@pytest.mark.parametrize("name", ["mend", "ke", "ft-llm"])
def test_a_session_takes_no_more_bytes_than_its_matrices_however_many_edits(
    name: str, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = mend(backbone, cases) if name == "mend" else fine_tuning(backbone)
    if name == "ke":
        values = resolve("ke", backbone.name, {"lstm": 8, "condition": 16, "conditioner": 8})
        editor = registry.factory("editors", "ke")(values, STRICT, train=(), seed=0)
        editor.prepare(backbone, (), store=MemoryStore())  # type: ignore[union-attr]
    matrices = sum(4 * each.numel() for each in sites.tensors(backbone, editor.sites).values())
    taken = []
    with editor.open(backbone, MemoryStore()) as session:
        for _ in range(3):
            for case in cases:
                session.apply(case.edits)
                state = session.state()
                taken.append(sum(tensor.numel() * tensor.element_size() for tensor in state.tensors.values()))
                assert persistent_bytes(state) < taken[-1] + 1000
    # The factors of a first edit may be larger than a matrix of these small models.
    assert max(taken[1:]) <= matrices
    assert len(set(taken[-4:])) == 1


@pytest.mark.parametrize("name", ["ft-llm", "ft-alignment"])
def test_an_absurd_learning_rate_gives_answers_that_are_no_numbers_and_the_stream_goes_on(
    name: str, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    settings = resolve(name, backbone.name, {"steps": 3, "learning_rate": 1e38})
    editor = registry.factory("editors", name)(settings, STRICT, train=(), seed=0)
    probes = [probe for probe in cases[0].probes if probe.query.image is not None]
    with editor.open(backbone, MemoryStore()) as session:
        for case in cases[:2]:
            session.apply(case.edits)
        said = session.answer(probes, ASK)
        written = session.answer([replace(probe, target="") for probe in probes], Ask(decode="generate", max_new=2))
        assert all(torch.as_tensor(answer.logprobs).isnan().all() for answer in said)
        assert len(written) == len(probes)
        assert not all(tensor.isfinite().all() for tensor in session.state().tensors.values())

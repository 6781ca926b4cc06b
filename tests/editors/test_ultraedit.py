"""UltraEdit: its formulas on numbers, its rows beside the whole model's gradients, and what a session keeps."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import dense
from mmke.editing.factors import Factors
from mmke.editing.observing_session import ObservingSession
from mmke.editing.settings import resolve
from mmke.editing.states import persistent_bytes
from mmke.editors.ultraedit.edit import UltraEdit, move, values
from mmke.editors.ultraedit.normaliser import Normaliser, Normalisers
from mmke.errors import CannotAskError, UserError
from mmke.types import STRICT, Ask, Edit, EditCase, Query

SITES = ["language.-2.mlp_out", "language.-1.mlp_out", "language.-1.mlp_in"]


def make(**changes: Any) -> UltraEdit:
    settings = resolve("ultraedit", "tiny-llava", {"step": 1e-2, **changes})
    editor: UltraEdit = registry.factory("editors", "ultraedit")(settings, STRICT, train=(), seed=0)
    return editor


def after(editor: UltraEdit, backbone: ComposedBackbone, *batches: list[Edit]) -> ObservingSession:
    with editor.open(backbone, MemoryStore()) as session:
        for batch in batches:
            session.apply(batch)
    assert isinstance(session, ObservingSession)
    return session


def factors(inputs: list[list[float]], gradients: list[list[float]]) -> Factors:
    return Factors(torch.tensor(inputs), torch.tensor(gradients))


@pytest.mark.parametrize("more", [0, 3], ids=["as many rows as inputs", "fewer rows than inputs"])
def test_the_ridge_solution_moves_the_outputs_of_the_inputs(more: int) -> None:
    inputs = torch.cat([torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, more)], dim=1)
    wanted = values(Factors(inputs, torch.tensor([[1.0, 0.0], [0.0, -1.0]])), step=1.0)
    change = move(inputs, wanted).product()
    torch.testing.assert_close(change[:, :2], torch.tensor([[-0.5, 0.0], [0.0, 1.6]]))
    assert not change[:, 2:].any()
    torch.testing.assert_close(change @ inputs[0], torch.tensor([-0.5, 0.0]))


def test_both_forms_of_the_solution_are_one_function() -> None:
    torch.manual_seed(0)
    inputs, wanted = torch.randn(6, 5), torch.randn(6, 4)
    plain = torch.linalg.inv(inputs.T @ inputs + torch.eye(5)) @ inputs.T @ wanted
    torch.testing.assert_close(move(inputs, wanted).product(), plain.T)
    some = torch.linalg.inv(inputs[:3].T @ inputs[:3] + torch.eye(5)) @ inputs[:3].T @ wanted[:3]
    torch.testing.assert_close(move(inputs[:3], wanted[:3]).product(), some.T)


def test_the_normaliser_runs_over_all_rows() -> None:
    normaliser = Normaliser(1, 1)
    for row in (1.0, 3.0):
        normaliser.observe(factors([[row]], [[row / 10]]))
    torch.testing.assert_close(normaliser.mean, torch.tensor([2.0, 0.2]))
    standardised = normaliser(factors([[1.0]], [[0.3]]))
    torch.testing.assert_close(standardised.inputs, torch.tensor([[-(0.5**0.5)]]))
    torch.testing.assert_close(standardised.gradients, torch.tensor([[0.5**0.5]]))


def test_no_coordinate_is_divided_by_next_to_nothing() -> None:
    normaliser = Normaliser(2, 1)
    normaliser.observe(factors([[0.0, 1.0], [2.0, 1.0]], [[5.0], [5.0]]))
    standardised = normaliser(factors([[1.0, 2.0]], [[5.0]]))
    floor = 1e-3 * 2**0.5 / 2
    torch.testing.assert_close(standardised.inputs, torch.tensor([[0.0, 1 / floor]]))
    assert standardised.gradients.tolist() == [[0.0]]


def test_matrices_of_one_shape_share_their_statistics() -> None:
    normalisers = Normalisers({"a": torch.zeros(2, 3), "b": torch.zeros(2, 3), "c": torch.zeros(3, 2)})
    rows = Factors(torch.randn(4, 3), torch.randn(4, 2))
    normalisers.observe({"a": rows, "b": rows, "c": Factors(rows.gradients, rows.inputs)})
    counts = {name: int(buffer) for name, buffer in normalisers.named_buffers() if name.endswith("count")}
    assert counts == {"by_shape.2x3.count": 8, "by_shape.3x2.count": 4}


def test_the_rows_are_those_of_the_whole_model_where_it_predicts_the_target(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    edit = cases[0].edits[0]
    ours = make(sites=SITES)._rows(backbone, edit, store=MemoryStore(), weights={})
    encoded = backbone.encode([edit.query], [edit.target], Ask()).encoded[0]
    kept: dict[str, tuple[Tensor, Tensor]] = {}
    hooks = []
    for name in ours:
        linear = backbone.module.get_submodule(name.removesuffix(".weight"))

        def keep(_module: object, args: tuple[Tensor], output: Tensor, name: str = name) -> None:
            kept[name] = args[0], output.requires_grad_() if output.is_leaf else output

        hooks.append(linear.register_forward_hook(keep))
    rows = torch.tensor(encoded.rows)
    pixels = backbone.vision.encode(backbone.pixels(edit.query.image))
    embeds = backbone.decoder.embed(torch.tensor(encoded.input_ids).clamp(min=0)).detach()
    image = torch.tensor(encoded.input_ids) < 0
    embeds = embeds.masked_scatter(image[:, None], backbone.vision.align([pixels]).detach())
    with torch.enable_grad():
        hidden = backbone.decoder.model(inputs_embeds=embeds[None], use_cache=False).last_hidden_state
        loss = cross_entropy(backbone.decoder.head(hidden)[0, rows], torch.tensor(encoded.target_ids))
        gradients = torch.autograd.grad(loss, [output for _, output in kept.values()])
    for hook in hooks:
        hook.remove()
    for (name, (inputs, _)), gradient in zip(kept.items(), gradients, strict=True):
        torch.testing.assert_close(ours[name].inputs, inputs[0, rows].detach(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(ours[name].gradients, gradient[0, rows], rtol=1e-4, atol=1e-7)


def test_an_edit_moves_each_matrix_by_its_own_rows(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    editor = make()
    rows = editor._rows(backbone, cases[0].edits[0], store=MemoryStore(), weights={})
    normalisers = Normalisers({name: backbone.module.get_parameter(name) for name in rows})
    normalisers.observe(rows)
    session = after(editor, backbone, [cases[0].edits[0]])
    for name, standardised in normalisers(rows).items():
        expected = move(rows[name].inputs, values(standardised, 1e-2)).product()
        torch.testing.assert_close(session.session.weights[name].product(), expected)  # type: ignore[union-attr]


def test_edits_of_one_batch_share_their_weights_and_later_ones_see_those_before(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    one, other = cases[0].edits[0], cases[1].edits[0]
    together, in_turn = after(make(), backbone, [one, other]), after(make(), backbone, [one], [other])
    counts = [session.statistics.get_buffer("by_shape.32x64.count") for session in (together, in_turn)]
    assert torch.equal(*counts)
    for name, update in together.session.weights.items():
        own = backbone.module.get_parameter(name)
        assert not torch.allclose(dense(own, update), dense(own, in_turn.session.weights[name]))
    untouched = make()._rows(backbone, other, store=MemoryStore(), weights={})
    moved = make()._rows(backbone, other, store=MemoryStore(), weights=after(make(), backbone, [one]).session.weights)
    assert any(not torch.equal(untouched[name].gradients, moved[name].gradients) for name in moved)


def test_a_saved_session_has_the_statistics_and_stops_growing(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    edits = [case.edits[0] for case in cases[:3]]
    sizes = []
    for number in range(1, 7):
        state = after(make(), backbone, *([edit] for edit in (edits * 2)[:number])).state()
        sizes.append(persistent_bytes(state))
    assert sizes[-1] == sizes[-2] < 3 * sizes[0]
    assert float(state.tensors["statistics.by_shape.32x64.count"]) > 0
    told = "saved under other sites, so open the session with that setting"
    with (
        make(sites=["language.-1.mlp_in"]).open(backbone, MemoryStore()) as session,
        pytest.raises(UserError, match=told),
    ):
        session.load_state(state)


def test_an_edit_that_cannot_be_made_changes_no_statistics(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    short = Edit(Query("Yes?"), "y")
    with make().open(backbone, MemoryStore()) as session:
        with pytest.raises(CannotAskError, match="gave a single row; its statistics need two"):
            session.apply([short])
        assert not session.statistics.get_buffer("by_shape.32x64.count").any()  # type: ignore[attr-defined]
        session.apply([cases[0].edits[0]])
        session.apply([short])


def test_its_matrices_are_those_of_the_language_model() -> None:
    with pytest.raises(UserError, match="sites name 'alignment'; this editor edits matrices of the language model"):
        make(sites=["alignment.linears"])

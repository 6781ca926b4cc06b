"""M-ORE: its formulas on numbers, its gradient beside the library's own, what it chooses, closes and keeps."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.observing_session import ObservingSession
from mmke.editing.settings import resolve
from mmke.editing.states import persistent_bytes
from mmke.editors.m_ore.edit import MORE, PROJECTOR, best
from mmke.editors.m_ore.gate import direction, gate
from mmke.editors.m_ore.projections import closed, drawn, move
from mmke.editors.m_ore.reading import sides
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import LowRankUpdate
from mmke.types import STRICT, Ask, Edit, EditCase, Query

ASK = Ask(logprobs=True)
SHARED = 4


def make(*, train: tuple[EditCase, ...] = (), seed: int = 0, **changes: Any) -> MORE:
    settings = resolve("m-ore", "tiny-llava", {"groups": 2, "step": 1.0, **changes})
    editor: MORE = registry.factory("editors", "m-ore")(settings, STRICT, train=train, seed=seed)
    return editor


def after(editor: MORE, backbone: ComposedBackbone, *batches: list[Edit]) -> ObservingSession:
    with editor.open(backbone, MemoryStore()) as session:
        for batch in batches:
            session.apply(batch)
    assert isinstance(session, ObservingSession)
    return session


def changed(session: ObservingSession) -> set[str]:
    """Return the names of the matrices that were written to."""
    return {name for name, each in session.session.weights.items() if each.outputs.any()}  # type: ignore[union-attr]


def projection(session: ObservingSession, name: str) -> Tensor:
    return session.statistics.get_buffer(name.replace(".", "-"))


def test_a_write_moves_by_what_the_projection_lets_through_and_closes_its_key() -> None:
    key, gradient = torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 2.0]])
    open_, out = torch.eye(2), torch.zeros(1, 2)
    for expected, left in (([[-0.2, -0.2]], 1 / 2), ([[-0.3, -0.4]], 1 / 3)):
        out = out - move(gradient, open_, 0.1)
        open_ = closed(open_, key, 1.0)
        torch.testing.assert_close(out, torch.tensor(expected))
        torch.testing.assert_close(open_, torch.diag(torch.tensor([left, 1.0])))


@pytest.mark.parametrize(("key", "regularisation", "left"), [([1.0, 0.0], 2000.0, 2 / 3), ([0.0, 3.0], 5.0, 1 / 1801)])
def test_after_many_writes_the_share_is_that_of_the_formula(
    key: list[float], regularisation: float, left: float
) -> None:
    open_, along = torch.eye(2), torch.tensor(key)
    for _ in range(1000):
        open_ = closed(open_, along, regularisation)
    assert float(along @ open_ @ along / along.square().sum()) == pytest.approx(left, rel=1e-5)
    across = along.flip(0)
    torch.testing.assert_close(open_ @ across, across)


def test_keys_in_any_directions_close_as_the_ridge_of_all_of_them() -> None:
    torch.manual_seed(0)
    keys, open_ = torch.randn(40, 8), torch.eye(8)
    for key in keys:
        open_ = closed(open_, key, 3.0)
    torch.testing.assert_close(open_, torch.linalg.inv(torch.eye(8) + keys.T @ keys / 3.0), rtol=1e-4, atol=1e-6)


def test_a_key_of_zeros_closes_nothing() -> None:
    open_ = torch.rand(3, 3)
    assert torch.equal(closed(open_, torch.zeros(3), 1.0), open_)


def test_the_gate_opens_by_the_angle_and_the_lengths_of_both_keys() -> None:
    text = torch.tensor([1.0, 0.0])
    image = 2 * torch.tensor([0.4, (1 - 0.4**2) ** 0.5])
    opened = gate(text, image)
    assert [round(float(each), 4) for each in opened] == [0.5, 0.4404, 0.2936, 0.1468]
    along = direction(text, image, opened)
    torch.testing.assert_close(along, torch.nn.functional.normalize(0.1468 * text + 0.2936 * image, dim=0))


def test_the_gate_is_shut_for_an_edit_without_a_picture() -> None:
    text, image = torch.tensor([1.0, 2.0]), torch.zeros(2)
    assert [float(each) for each in gate(text, image)] == [0.0] * 4
    assert not direction(text, image, gate(text, image)).any()
    assert [float(each) for each in gate(image, image)] == [0.0] * 4


def test_the_rows_are_orthonormal_and_those_of_the_seed_and_the_name() -> None:
    own = torch.zeros(5, 24)
    rows = drawn(own, 16, name="a", seed=0)
    torch.testing.assert_close(rows @ rows.T, torch.eye(16))
    assert torch.equal(rows, drawn(torch.ones(9, 24), 16, name="a", seed=0))
    assert not torch.allclose(rows, drawn(own, 16, name="b", seed=0))
    assert not torch.allclose(rows, drawn(own, 16, name="a", seed=1))


def test_the_best_groups_have_the_largest_sums() -> None:
    groups = {"a": "layer 0", "b": "layer 0", "c": "layer 1", "d": PROJECTOR}
    assert best({"a": 1.0, "b": 2.0, "c": 2.5, "d": 4.0}, groups, 2) == [PROJECTOR, "layer 0"]
    assert best({"a": 1.0, "c": 1.0}, groups, 1) == ["layer 0"]
    assert best({"a": 1.0}, groups, 7) == ["layer 0"]


@pytest.mark.parametrize("normalise", [False, True])
def test_the_gradient_is_that_of_the_added_matrices(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], *, normalise: bool
) -> None:
    edit, other = cases[0].edits[0], cases[1].edits[0]
    editor = make(normalise=normalise)
    weights = after(editor, backbone, [other]).session.weights
    ours = editor._read(backbone, edit, weights, MemoryStore())  # type: ignore[arg-type]
    leaves = {name: each.outputs.clone().requires_grad_() for name, each in weights.items()}  # type: ignore[union-attr]
    edited = {name: LowRankUpdate(weights[name].inputs, leaf, normalised=normalise) for name, leaf in leaves.items()}  # type: ignore[union-attr]
    batch = backbone.encode([edit.query], [edit.target], Ask())
    trunk = backbone.trunk(batch, editor.cut(backbone), store=MemoryStore())
    loss = cross_entropy(backbone.tail(trunk, edited), torch.tensor(batch.encoded[0].target_ids))
    for name, plain in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):
        # What is kept is scale · Bᵀ.
        torch.testing.assert_close(ours[name].gradient, 2.0 * plain.T, rtol=1e-3, atol=1e-6)


def test_a_write_is_one_step_in_the_best_groups_alone(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    editor, edit = make(), cases[0].edits[0]
    begun = editor._begun(backbone, MemoryStore())
    found = editor._read(backbone, edit, begun, MemoryStore())
    groups = editor.groups(backbone)
    chosen = best({name: float(each.score) for name, each in found.items()}, groups, 2)
    session = after(editor, backbone, [edit])
    assert changed(session) == {name for name in found if groups[name] in chosen}
    for name, reading in found.items():
        step = 1e-3 if groups[name] == PROJECTOR else 1.0
        expected = -2.0 * step * reading.gradient.T if groups[name] in chosen else torch.zeros_like(reading.gradient.T)
        torch.testing.assert_close(session.session.weights[name].outputs, expected)  # type: ignore[union-attr]
        (key,) = reading.keys
        assert float(key.norm()) == pytest.approx(1.0, abs=1e-5)
        left = closed(torch.eye(16), key, 1.0) if groups[name] in chosen else torch.eye(16)
        torch.testing.assert_close(projection(session, name), left)


def test_a_key_is_the_mean_over_the_target_and_in_the_projector_over_the_picture(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor, edit = make(keys="raw"), cases[0].edits[0]
    begun, groups = editor._begun(backbone, MemoryStore()), editor.groups(backbone)
    fed: dict[str, Tensor] = {}
    hooks = [
        backbone.module.get_submodule(name.removesuffix(".weight")).register_forward_hook(
            lambda _module, args, _output, name=name: fed.update({name: args[0].flatten(0, -2)})
        )
        for name in begun
    ]
    batch = backbone.encode([edit.query], [edit.target], Ask(positions="all"))
    backbone.tail(backbone.trunk(batch, editor.cut(backbone), store=MemoryStore()), {})
    for hook in hooks:
        hook.remove()
    count, size = len(batch.encoded[0].target_ids), len(batch.encoded[0].input_ids)
    for name, reading in editor._read(backbone, edit, begun, MemoryStore()).items():
        rows = fed[name] if groups[name] == PROJECTOR else fed[name][size - 1 - count : size - 1]
        torch.testing.assert_close(reading.keys[0], begun[name].inputs @ rows.mean(0), rtol=1e-4, atol=1e-5)


def test_edits_of_a_batch_share_one_write_and_close_a_key_each(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor, edits = make(groups=9), [cases[0].edits[0], cases[1].edits[0]]
    begun = editor._begun(backbone, MemoryStore())
    one, other = (editor._read(backbone, edit, begun, MemoryStore()) for edit in edits)
    session = after(editor, backbone, edits)
    groups = editor.groups(backbone)
    for name in (name for name in one if groups[name] != PROJECTOR):
        mean = (one[name].gradient + other[name].gradient) / 2
        torch.testing.assert_close(session.session.weights[name].outputs, -2.0 * mean.T)  # type: ignore[union-attr]
        left = closed(closed(torch.eye(16), one[name].keys[0], 1.0), other[name].keys[0], 1.0)
        torch.testing.assert_close(projection(session, name), left)


def test_what_was_closed_by_an_earlier_edit_holds_back_a_later_one(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    edit = cases[0].edits[0]
    first, second = after(make(groups=9), backbone, [edit]), after(make(groups=9), backbone, [edit], [edit])
    (name, *_) = first.session.weights
    before = make(groups=9)._read(backbone, edit, first.session.weights, MemoryStore())[name]  # type: ignore[arg-type]
    moved = second.session.weights[name].outputs - first.session.weights[name].outputs  # type: ignore[union-attr]
    torch.testing.assert_close(moved, -2.0 * (before.gradient @ projection(first, name)).T, rtol=1e-4, atol=1e-7)
    assert float(before.keys[0] @ projection(second, name) @ before.keys[0]) == pytest.approx(1 / 3, rel=0.05)


def test_an_edit_without_a_picture_leaves_the_projector(backbone: ComposedBackbone) -> None:
    editor, edit = make(groups=9), Edit(Query("Who rules?"), "nobody")
    groups = editor.groups(backbone)
    assert changed(after(editor, backbone, [edit])) == {name for name in groups if groups[name] != PROJECTOR}
    with pytest.raises(UserError, match="m-ore edits what reads the picture, and the edit 'Who rules"):
        after(make(sites=["projection"]), backbone, [edit])


def test_behind_the_gate_shared_rows_move_with_their_own_step(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    edit = cases[0].edits[0]
    scoped, plain = make(shared_rows=SHARED, groups=9, shared_step=3.0), make(groups=9)
    begun, groups = plain._begun(backbone, MemoryStore()), plain.groups(backbone)
    whole = plain._read(backbone, edit, begun, MemoryStore())
    session = after(scoped, backbone, [edit])
    batch = backbone.encode([edit.query], [edit.target], Ask(positions="all"))
    encoded, trunk = batch.encoded[0], backbone.trunk(batch, scoped.cut(backbone), store=MemoryStore())
    for name in (name for name in begun if groups[name] != PROJECTOR):
        fed: list[Tensor] = []
        linear = backbone.module.get_submodule(name.removesuffix(".weight"))
        hook = linear.register_forward_hook(lambda _module, args, _output, fed=fed: fed.append(args[0].flatten(0, -2)))
        backbone.tail(trunk, {})
        hook.remove()
        rows = begun[name].inputs[:SHARED]
        text, image = (rows @ each for each in sides(fed[0], encoded))
        opened = gate(text, image)
        moved = session.session.weights[name].outputs  # type: ignore[union-attr]
        expected = -2.0 * whole[name].gradient.T
        torch.testing.assert_close(moved[SHARED:], expected[SHARED:], rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(moved[:SHARED], 3.0 * opened.text * expected[:SHARED], rtol=1e-3, atol=1e-6)
        left = projection(session, name)
        assert not left[:SHARED, SHARED:].any()
        torch.testing.assert_close(
            left[:SHARED, :SHARED], closed(torch.eye(SHARED), direction(text, image, opened), 1.0), rtol=1e-4, atol=1e-5
        )


def test_without_a_picture_the_shared_rows_stay(backbone: ComposedBackbone) -> None:
    session = after(make(shared_rows=SHARED), backbone, [Edit(Query("Who rules?"), "nobody")])
    for name in changed(session):
        outputs = session.session.weights[name].outputs  # type: ignore[union-attr]
        assert not outputs[:SHARED].any()
        assert outputs[SHARED:].any()
        assert torch.equal(projection(session, name)[:SHARED, :SHARED], torch.eye(SHARED))


def test_the_sides_are_the_positions_of_the_layout(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    edit = cases[0].edits[0]
    encoded = backbone.encode([edit.query], [edit.target], Ask(positions="all")).encoded[0]
    places = torch.arange(float(len(encoded.input_ids)))[:, None]
    text, image = sides(places, encoded)
    picture = [place for place, token in enumerate(encoded.input_ids) if token < 0]
    assert float(image) == sum(picture) / len(picture)
    assert encoded.question[0] == picture[-1] + 1  # this model has nothing between picture and question
    # One token a letter, and the space between question and answer is part of neither.
    said = [*range(encoded.question[0], len(places))]
    said.remove(encoded.question[0] + len(edit.query.text))
    assert float(text) == pytest.approx(sum(said) / len(said))


def test_a_saved_session_has_the_projections_and_does_not_grow(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    edits = [case.edits[0] for case in cases[:3]]
    sizes = {
        persistent_bytes(after(make(), backbone, *([edit] for edit in edits[:number])).state()) for number in (1, 3)
    }
    assert len(sizes) == 1
    state = after(make(), backbone, *([edit] for edit in edits)).state()
    with (
        make(rank=8).open(backbone, MemoryStore()) as session,
        pytest.raises(UserError, match="saved under other sites or another rank"),
    ):
        session.load_state(state)


def test_protected_questions_of_training_records_are_closed_before_the_first_edit(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    train, edit = cases[1:3], cases[0].edits[0]
    guarded, plain = (after(make(train=train, protect=number), backbone, [edit]) for number in (2, 0))
    untouched = next(name for name in plain.session.weights if name not in changed(plain) | changed(guarded))
    assert torch.equal(projection(plain, untouched), torch.eye(16))
    assert float(projection(guarded, untouched).trace()) < 16 - 0.5
    assert make(train=train, protect=1).protected == tuple(
        probe for probe in train[0].probes if probe.kind.name in ("t_loc", "i_loc")
    )
    with pytest.raises(
        NeedsTrainingError, match=r"m-ore\.protect = 2 closes the unrelated questions of training records"
    ):
        make(protect=2)


def test_behind_a_layer_norm_the_edit_is_no_change_of_weights_and_is_saved_as_what_it_is(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    session = after(make(normalise=True), backbone, [cases[0].edits[0]])
    with (
        pytest.raises(UserError, match=r"m-ore\.normalise = true puts a LayerNorm between the two factors"),
        session.module(),
    ):
        pass
    heard = session.answer(cases[0].probes, ASK)
    with make(normalise=True).open(backbone, MemoryStore()) as fresh:
        fresh.load_state(session.state())
        again = fresh.answer(cases[0].probes, ASK)
    assert all((one.logprobs == other.logprobs).all() for one, other in zip(heard, again, strict=True))  # type: ignore[union-attr]
    with make().open(backbone, MemoryStore()) as other:
        other.load_state(session.state())
        with pytest.raises(UserError, match="a LayerNorm stands between the two factors of this edit"), other.module():
            pass


def test_a_rank_beyond_the_inputs_and_rows_beyond_the_rank_are_refused(backbone: ComposedBackbone) -> None:
    with pytest.raises(
        UserError, match=r"m-ore.rank = 33, and .*layers.0.mlp.up_proj.weight of tiny-llava has 32 inputs"
    ):
        make(rank=33).check(backbone)
    with pytest.raises(UserError, match="shared_rows = 16 of rank = 16; it is below the rank, and 0 without a gate"):
        make(shared_rows=16)

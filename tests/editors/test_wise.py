"""WISE: its numbers by hand, side copies and activations beside the whole model's own passes, and who answers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import written
from mmke.editing.fitting import lesson
from mmke.editing.routed_session import RoutedSession
from mmke.editing.settings import resolve
from mmke.editing.states import persistent_bytes
from mmke.editors.wise.edit import Memory, Wise
from mmke.editors.wise.side import Margins, activation, generator, margin_loss, mask, merged, strongest, threshold
from mmke.errors import CannotAskError, NeedsTrainingError, UserError
from mmke.types import STRICT, Ask, Edit, EditCase, Probe, Query
from mmke_bench.plain import PlainBackbone

ASK = Ask(logprobs=True)
SITE = "language.1.mlp_out"


def make(train: tuple[EditCase, ...], **changes: Any) -> Wise:
    settings = resolve("wise", "tiny-llava", {"site": SITE, "steps": 3, **changes})
    editor: Wise = registry.factory("editors", "wise")(settings, STRICT, train=train, seed=0)
    return editor


def after(editor: Wise, backbone: Any, *batches: list[Edit]) -> RoutedSession[Memory]:
    with editor.open(backbone, MemoryStore()) as session:
        for batch in batches:
            session.apply(batch)
    assert isinstance(session, RoutedSession)
    return session


def memory_of(session: RoutedSession[Memory]) -> Memory:
    assert session.memory is not None
    return session.memory


def own_question(case: EditCase) -> Probe:
    return Probe(case.probes[0].kind, case.edits[0].query, case.edits[0].target)


def number(value: float) -> Tensor:
    return torch.tensor(value)


def test_margins_by_hand() -> None:
    margins = Margins(5.0, 20.0, 10.0)
    assert float(margin_loss(number(12.0), number(6.0), margins)) == 1 + 8 + 4
    assert float(margin_loss(number(20.0), number(5.0), margins)) == 0


def test_the_threshold_is_a_share_of_the_smallest_activation() -> None:
    assert threshold(torch.tensor([20.0, 16.0]), 0.5) == 8
    assert strongest([3.0, 5.0, 5.0, 4.0]) == 2


def test_an_activation_is_the_mean_length_of_the_move() -> None:
    change = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert float(activation(change, torch.tensor([[3.0, 0.0], [0.0, 2.0]]))) == (3 + 4) / 2


def test_merging_keeps_large_entries_and_takes_the_mean_of_the_chosen_sign() -> None:
    one, other = torch.tensor([[4.0, -1.0, 0.5, 2.0]]), torch.tensor([[-3.0, 0.2, 0.1, 4.0]])
    assert merged([one, other], 0.5).tolist() == [[4.0, 0.0, 0.0, 3.0]]
    assert merged([one, other], 1.0)[0].tolist() == pytest.approx([4.0, -1.0, 0.3, 3.0])
    assert merged([one], 0.5).tolist() == [[4.0, 0.0, 0.0, 2.0]]


def test_a_mask_has_its_density_and_depends_on_what_is_said_alone() -> None:
    like = torch.empty(200, 100)
    first, again, other = (mask(like, 0.2, generator(said)) for said in ("edit", "edit", "another"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.float().mean()) == pytest.approx(0.2, abs=0.01)


def test_the_first_step_moves_the_masked_entries_by_the_gradient_and_the_decay(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edit, name = cases[0].edits[0], f"{backbone.site('language', 1, 'mlp_out')}.weight"
    editor = make(train, steps=1, learning_rate=0.5, weight_decay=0.25, clip=0.004)
    change = memory_of(after(editor, backbone, [edit])).changes[0]
    own = backbone.module.get_parameter(name).detach().clone().requires_grad_()
    taught = lesson(backbone, [edit], editor.cut(backbone), switches=STRICT, store=MemoryStore())
    taught.loss({name: own}).backward()  # type: ignore[no-untyped-call]
    allowed = mask(own, 0.2, generator("mask", 0, edit.query.text, edit.target))
    expected = (-0.5 * (own.grad + 0.25 * own.detach())).clamp(-0.004, 0.004) * allowed  # type: ignore[operator]
    torch.testing.assert_close(change, expected)
    assert float(change.abs().max()) == pytest.approx(0.004)


@pytest.mark.slow
def test_training_ends_when_the_answer_is_learned_and_settled(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edit = cases[0].edits[0]
    one = memory_of(after(make(train, steps=1), backbone, [edit])).changes[0]
    # The first step has no step before it, from which it could be settled.
    ended = make(train, steps=4, stop=1e3, settled=1e3)
    assert torch.equal(memory_of(after(ended, backbone, [edit])).changes[0], one)
    for goes_on in ({"stop": 1e3, "settled": 0.0}, {"stop": 1e-9, "settled": 1e3}, {"stop": 0.0, "settled": 1e3}):
        assert not torch.equal(memory_of(after(make(train, steps=4, **goes_on), backbone, [edit])).changes[0], one)


@pytest.mark.parametrize("where", ["question", pytest.param("question and picture", marks=pytest.mark.slow)])
def test_the_activation_is_read_at_the_questions_own_tokens(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...], where: str
) -> None:
    edit = cases[0].edits[0]
    editor = make(train, activation=where)
    memory = memory_of(after(editor, backbone, [edit]))
    fed = read_whole(backbone, edit.query)
    ids = backbone.encode([edit.query], [""], Ask(decode="generate")).encoded[0].input_ids
    asked = backbone.prompt.tokenizer(edit.query.text, add_special_tokens=False)["input_ids"]
    begin = next(i for i in range(len(ids)) if list(ids[i + 1 : i + len(asked)]) == asked[1:])
    places = list(range(begin, begin + len(asked)))
    if where == "question and picture":
        places += [i for i, each in enumerate(ids) if each < 0]
    expected = (fed[places] @ memory.changes[0].T).norm(dim=-1).mean()
    torch.testing.assert_close(memory.activations[0], expected)


def read_whole(backbone: ComposedBackbone, query: Query) -> Tensor:
    """Return what the matrix is fed at all positions of a question, in the library's own forward pass."""
    ids = torch.tensor(backbone.encode([query], [""], Ask(decode="generate")).encoded[0].input_ids)
    embeds = backbone.decoder.embed(ids.clamp(min=0))
    if query.image is not None:
        pictures = backbone.vision.align([backbone.vision.encode(backbone.pixels(query.image))])
        embeds = embeds.masked_scatter((ids < 0)[:, None], pictures)
    fed: list[Tensor] = []
    linear = backbone.module.get_submodule(backbone.site("language", 1, "mlp_out"))
    hook = linear.register_forward_hook(lambda _module, args, _output: fed.append(args[0]))
    with torch.no_grad():
        backbone.decoder.model(inputs_embeds=embeds[None], use_cache=False)
    hook.remove()
    return fed[0][0]


def test_an_answer_is_that_of_the_model_with_the_side_copy_written_in(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    session, probe = after(make(train), backbone, [cases[0].edits[0]]), own_question(cases[0])
    name = f"{backbone.site('language', 1, 'mlp_out')}.weight"
    copied = backbone.module.get_parameter(name).detach() + memory_of(session).changes[0]
    with written(backbone.module, {name: copied}):
        (expected,) = backbone.answer([probe], ASK)
    (said,) = session.answer([probe], ASK)
    assert said.notes == {"accepted": 1, "memory": 0}
    np.testing.assert_allclose(said.logprobs, expected.logprobs, atol=1e-5)  # type: ignore[arg-type]


def test_from_the_threshold_on_the_side_copy_answers_and_below_it_the_unedited_model_to_the_bit(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    probe, edit = own_question(cases[0]), cases[0].edits[0]
    assert after(make(train, act_ratio=1.0), backbone, [edit]).decide([probe.query]) == [0]
    session = after(make(train, act_ratio=1.01), backbone, [edit])
    assert session.decide([probe.query]) == [None]
    edited, base = session.answer(cases[0].probes, ASK), backbone.answer(cases[0].probes, ASK)
    rejected = [i for i, each in enumerate(edited) if not each.notes["accepted"]]
    assert rejected
    assert all(np.array_equal(edited[i].logprobs, base[i].logprobs) for i in rejected)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_edit_is_learned_the_better_the_more_steps_are_taken(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    heard = []
    for steps in (0, 5, 20):
        session = after(make(train, steps=steps, beta=0.0, gamma=0.0), backbone, [cases[0].edits[0]])
        heard.append(session.answer([own_question(cases[0])], ASK)[0].target_logprob)
    assert heard[0] < heard[1] < heard[2]


@pytest.mark.slow
def test_margins_raise_the_edits_activation_above_that_of_the_irrelevant_question(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edit, shares = cases[0].edits[0], []
    for wanted in ({"alpha": 1e9, "beta": 0.0, "gamma": 0.0}, {"alpha": 0.0, "beta": 2.0, "gamma": 2.0}):
        editor = make(train, steps=30, learning_rate=0.1, mask_density=1.0, **wanted)
        memory = memory_of(after(editor, backbone, [edit]))
        other = editor._irrelevant(edit)
        shares.append(
            editor.activations(backbone, other, memory, store=MemoryStore())[0] / float(memory.activations[0])
        )
    assert shares[1] < shares[0]


def test_after_some_edits_a_side_copy_is_frozen_and_a_new_one_begins(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edits = [case.edits[0] for case in cases[:3]]
    session = after(make(train, freeze_after=2, steps=1), backbone, edits[:2])
    (frozen,) = memory_of(session).changes
    session.apply(edits[2:])
    memory = memory_of(session)
    assert memory.ends == (2, 3)
    assert torch.equal(memory.changes[0], frozen)
    alone = memory_of(after(make(train, steps=1), backbone, edits[2:])).changes[0]
    assert torch.equal(memory.changes[1], alone)
    together = memory_of(after(make(train, freeze_after=0, steps=1), backbone, edits))
    assert together.ends == (3,)


def test_the_side_copy_with_the_largest_activation_answers(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edits, probe = [case.edits[0] for case in cases[:3]], own_question(cases[0])
    session = after(make(train, freeze_after=1, steps=1, act_ratio=0.0), backbone, edits)
    memory = memory_of(session)
    largest = torch.ones_like(memory.changes[0])
    for place, end in enumerate(memory.ends):
        changes = tuple(largest if i == place else each for i, each in enumerate(memory.changes))
        session.memory = memory._replace(changes=changes)
        session.decided.clear()
        assert session.decide([probe.query]) == [end - 1]
        assert session.answer([probe], ASK)[0].notes == {"accepted": 1, "memory": place}


def test_side_copies_become_one(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edits = [case.edits[0] for case in cases[:3]]
    apart = memory_of(after(make(train, freeze_after=1, steps=1), backbone, edits[:2]))
    editor = make(train, freeze_after=1, merge_after=2, merge_density=0.5, steps=1)
    session = after(editor, backbone, edits[:2])
    (joint,) = memory_of(session).changes
    assert torch.equal(joint, merged(apart.changes, 0.5))
    assert torch.equal(memory_of(session).activations, apart.activations)
    session.apply(edits[2:])
    assert memory_of(session).ends == (2, 3)
    assert torch.equal(memory_of(session).changes[0], joint)


@pytest.mark.slow
def test_a_batch_is_written_in_its_order(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edits = [case.edits[0] for case in cases[:2]]
    together, in_turn = (
        after(make(train, steps=1), backbone, *batches) for batches in ([edits], [[each] for each in edits])
    )
    for name, tensor in together.state().tensors.items():
        assert torch.equal(tensor, in_turn.state().tensors[name])


@pytest.mark.slow
def test_the_plain_loop_gives_the_same_answers(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    probes, editor, heard = [own_question(cases[0]), *cases[1].probes[:2]], make(train), []
    for asked in (backbone, PlainBackbone(backbone)):
        with editor.open(asked, MemoryStore()) as session:
            session.apply(cases[0].edits)
            heard.append(session.answer(probes, ASK))
    for one, other in zip(*heard, strict=True):
        assert one.notes == other.notes
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)  # type: ignore[arg-type]


def test_the_irrelevant_question_is_another_training_records(train: tuple[EditCase, ...]) -> None:
    editor = make(train)
    known = [edit.query for case in train for edit in case.edits]
    assert set(editor.irrelevant) == set(known)
    drawn = {editor._irrelevant(Edit(known[0], f"target {i}")) for i in range(40)}
    assert drawn == set(known[1:])
    for too_few in ((), train[:1]):
        with pytest.raises(NeedsTrainingError, match=r"takes irrelevant questions from training records"):
            make(too_few)


def test_what_is_asked_without_words_is_not_edited(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edit = cases[0].edits[0]
    session = after(make(train, act_ratio=0.0), backbone, [edit])
    without = Query("", edit.query.image)
    assert session.decide([without]) == [None]
    with pytest.raises(CannotAskError, match="has an empty question; give it words"):
        session.apply([Edit(without, "nothing")])
    assert len(session.edits) == 1


def test_a_saved_session_holds_the_side_copies(
    backbone: ComposedBackbone, train: tuple[EditCase, ...], cases: tuple[EditCase, ...]
) -> None:
    edits = [case.edits[0] for case in cases[:3]]
    states = [after(make(train, freeze_after=2, steps=1), backbone, edits[:count]).state() for count in (1, 2, 3)]
    numbers = backbone.module.get_submodule(backbone.site("language", 1, "mlp_out")).weight.numel()
    sizes = [sum(tensor.nbytes for tensor in state.tensors.values()) for state in states]
    assert sizes == [4 * numbers * copies + 8 * copies + 4 * count for copies, count in ((1, 1), (1, 2), (2, 3))]
    assert persistent_bytes(states[0]) > sizes[0]
    with (
        make(train, site="language.1.mlp_in").open(backbone, MemoryStore()) as session,
        pytest.raises(UserError, match="it was saved under another site"),
    ):
        session.load_state(states[0])


def test_settings_that_cannot_be_used_are_refused(backbone: ComposedBackbone, train: tuple[EditCase, ...]) -> None:
    with pytest.raises(UserError, match="it is one linear of an MLP, like"):
        make(train, site="alignment")
    with pytest.raises(UserError, match="so merge_after is a multiple of freeze_after, or 0"):
        make(train, freeze_after=3, merge_after=4)
    with pytest.raises(UserError, match="lies in the last of 4 decoder layers of tiny-llava"):
        make(train, site="language.-1.mlp_out").check(backbone)

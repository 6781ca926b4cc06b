"""GRACE: the codebook on numbers, keys and values beside the whole model's own passes, and what a session keeps."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.replacing import _replacer, prompt_length
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.routed_session import RoutedSession
from mmke.editing.settings import resolve
from mmke.editing.states import persistent_bytes
from mmke.editors.grace.codebook import Codebook
from mmke.editors.grace.edit import Grace
from mmke.errors import UserError
from mmke.types import STRICT, Ask, Edit, EditCase, Probe, Query
from mmke_bench.plain import PlainBackbone

ASK = Ask(logprobs=True)
SITE = "language.1.mlp_out"


def make(**changes: Any) -> Grace:
    settings = resolve("grace", "tiny-llava", {"site": SITE, "radius": 1e-6, "steps": 3, **changes})
    editor: Grace = registry.factory("editors", "grace")(settings, STRICT, train=(), seed=0)
    return editor


def after(editor: Grace, backbone: ComposedBackbone, *batches: list[Edit]) -> RoutedSession[Any]:
    with editor.open(backbone, MemoryStore()) as session:
        for batch in batches:
            session.apply(batch)
    assert isinstance(session, RoutedSession)
    return session


def own_question(case: EditCase) -> Probe:
    edit = case.edits[0]
    return Probe(case.probes[0].kind, edit.query, edit.target)


def at(x: float) -> Tensor:
    return torch.tensor([x, 0.0])


def book_of(*edits: tuple[float, str]) -> Codebook:
    """Return the codebook of edits, each at a place of the first axis and with a target; a lone radius is 1."""
    book, targets = Codebook.empty(at(0.0), 1), list[str]()
    for number, (x, target) in enumerate(edits):
        place = book.place(at(x), radius=1.0, same=[each == target for each in targets].__getitem__)
        targets += [target] if place.entry == len(targets) else []
        book = book.written(place, key=at(x), value=torch.tensor([float(number)]), edit=number)
    return book


def test_a_query_hits_within_the_radius() -> None:
    book = book_of((0.0, "A"))
    assert book.hit(at(0.9)) == 0
    assert book.hit(at(1.1)) is None


def test_another_target_nearby_halves_both_radii() -> None:
    book = book_of((0.0, "A"), (1.5, "B"))
    assert book.radii.tolist() == pytest.approx([0.74999, 0.75])
    assert [book.hit(at(x)) for x in (0.7, 0.749995, 0.8, 2.3)] == [0, None, 1, None]


def test_the_same_target_nearby_widens_the_radius() -> None:
    book = book_of((0.0, "A"), (1.5, "A"))
    assert book.radii.tolist() == [1.5]
    assert (book.keys.tolist(), book.values.tolist(), book.edits.tolist()) == ([[0.0, 0.0]], [[1.0]], [1])
    assert book_of((0.0, "A"), (0.5, "A")).radii.tolist() == [1.0]


def test_an_edit_far_away_is_an_entry_by_itself() -> None:
    assert book_of((0.0, "A"), (2.5, "A")).radii.tolist() == [1.0, 1.0]
    assert book_of((0.0, "A"), (2.0, "B")).radii.tolist() == pytest.approx([1.0 - 1e-5, 1.0])


def test_of_equal_keys_the_newest_is_hit() -> None:
    book = book_of((0.0, "A"), (0.0, "B"), (0.0, "A"))
    assert (book.hit(at(0.0)), book.hit(at(1e-6))) == (2, None)
    assert book.edits.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("positions", "replaced"), [("prompt", "##..."), ("last", ".####"), ("all", "#####")])
def test_the_positions_that_a_value_takes(positions: Any, replaced: str) -> None:
    value, own = torch.ones(3), torch.zeros(1, 5, 3)
    fed = _replacer(value, positions, 2, writes=False)(nn.Identity(), (), own)
    assert "".join("#" if row.all() else "." for row in fed[0]) == replaced
    writing = _replacer(value, positions, 2, writes=True)
    steps = [writing(nn.Identity(), (), own[:, :length])[0] for length in (2, 1, 1, 1)]
    assert torch.equal(torch.cat(steps), fed[0])


def test_a_prompt_of_one_position_is_told_from_a_step() -> None:
    writing = _replacer(torch.ones(3), "prompt", 1, writes=True)
    assert [bool(writing(nn.Identity(), (), torch.zeros(1, 1, 3)).any()) for _ in range(3)] == [True, False, False]


def test_a_key_is_what_the_module_reads_at_the_end_of_the_question(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    query = cases[0].edits[0].query
    fed: list[Tensor] = []
    linear = backbone.module.get_submodule(backbone.site("language", 1, "mlp_out"))
    hook = linear.register_forward_hook(lambda _module, args, _output: fed.append(args[0]))
    whole_pass(backbone, query, "")
    hook.remove()
    key = make().key(backbone, query, store=MemoryStore())
    torch.testing.assert_close(key, fed[0][0, -1])
    # An answer behind the question does not move it.
    hook = linear.register_forward_hook(lambda _module, args, _output: fed.append(args[0]))
    whole_pass(backbone, query, "an answer")
    hook.remove()
    torch.testing.assert_close(key, fed[1][0, fed[0].shape[1] - 1])


def whole_pass(backbone: ComposedBackbone, query: Query, target: str) -> Tensor:
    """Return the logits of all positions of a query with its answer, from the library's own forward pass."""
    ask = Ask() if target else Ask(decode="generate")
    ids = torch.tensor(backbone.encode([query], [target], ask).encoded[0].input_ids)
    embeds = backbone.decoder.embed(ids.clamp(min=0))
    if query.image is not None:
        pictures = backbone.vision.align([backbone.vision.encode(backbone.pixels(query.image))])
        embeds = embeds.masked_scatter((ids < 0)[:, None], pictures)
    with torch.no_grad():
        hidden = backbone.decoder.model(inputs_embeds=embeds[None], use_cache=False).last_hidden_state
        logits: Tensor = backbone.decoder.head(hidden)[0]
    return logits


@pytest.mark.parametrize("positions", ["prompt", "last", "all"])
def test_an_answer_is_the_whole_models_with_the_value_put_in(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...], positions: str
) -> None:
    probe = own_question(cases[0])
    session = after(make(positions=positions, learning_rate=0.1), backbone, [cases[0].edits[0]])
    said = session.answer([probe], ASK)[0]
    value = session.memory.book.values[0]  # type: ignore[union-attr]
    encoded = backbone.encode([probe.query], [probe.target], ASK).encoded[0]
    prompt = prompt_length(encoded)
    begin, end = {"prompt": (0, prompt), "last": (prompt - 1, None), "all": (0, None)}[positions]

    def put_in(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        output[:, begin:end] = value
        return output

    linear = backbone.module.get_submodule(backbone.site("language", 1, "mlp_out"))
    hook = linear.register_forward_hook(put_in)
    logits = whole_pass(backbone, probe.query, probe.target)
    hook.remove()
    expected = logits[list(encoded.rows)].log_softmax(-1)
    assert said.logprobs is not None
    np.testing.assert_allclose(said.logprobs, expected.numpy(), atol=1e-5)


def test_the_plain_loop_gives_the_same_answers(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    probes, editor = [own_question(cases[0]), *cases[1].probes[:2]], make(learning_rate=0.1)
    heard = []
    for asked in (backbone, PlainBackbone(backbone)):
        with editor.open(asked, MemoryStore()) as session:
            session.apply(cases[0].edits)
            heard.append(session.answer(probes, ASK))
    for one, other in zip(*heard, strict=True):
        assert one.notes == other.notes
        np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-4)  # type: ignore[arg-type]


def test_a_value_is_trained_on_the_target(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    probe = own_question(cases[0])
    heard = []
    for steps in (0, 10, 30):
        session = after(make(steps=steps, learning_rate=0.1), backbone, [cases[0].edits[0]])
        heard.append(session.answer([probe], ASK)[0].target_logprob)
    assert heard[0] < heard[1] < heard[2]


def test_what_is_not_hit_is_answered_by_the_unedited_model_to_the_bit(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    probes = [own_question(cases[0]), *cases[1].probes]
    session = after(make(), backbone, [cases[0].edits[0]])
    assert session.decide([probe.query for probe in probes]) == [0, *(None for _ in cases[1].probes)]
    edited, base = session.answer(probes, ASK), backbone.answer(probes, ASK)
    same = [np.array_equal(one.logprobs, other.logprobs) for one, other in zip(edited, base, strict=True)]  # type: ignore[arg-type]
    assert same == [False, *(True for _ in cases[1].probes)]


def test_an_answer_does_not_depend_on_what_else_is_asked(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    session = after(make(radius=1e6), backbone, [cases[0].edits[0]])
    together = session.answer(cases[0].probes, ASK)
    assert {answer.notes["accepted"] for answer in together} == {1}
    alone = [session.answer([probe], ASK)[0] for probe in cases[0].probes]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.logprobs, other.logprobs)  # type: ignore[arg-type]


def test_a_later_edit_of_the_same_question_takes_its_place(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    edit, other = cases[0].edits[0], cases[1].edits[0]
    session = after(make(), backbone, [edit], [other, Edit(edit.query, other.target)], [edit])
    assert session.decide([edit.query, other.query]) == [3, 1]
    # The same edit again is the same entry, whose value is trained on.
    again = after(make(), backbone, [edit], [edit])
    assert again.memory.book.edits.tolist() == [1]  # type: ignore[union-attr]
    assert not torch.equal(again.memory.book.values, after(make(), backbone, [edit]).memory.book.values)  # type: ignore[union-attr]


def test_a_batch_is_written_in_its_order(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    edits = [case.edits[0] for case in cases[:3]]
    together, in_turn = after(make(), backbone, edits), after(make(), backbone, *([edit] for edit in edits))
    for name, tensor in together.state().tensors.items():
        assert torch.equal(tensor, in_turn.state().tensors[name])


def test_a_saved_session_grows_by_an_entry_an_edit(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    edits = [case.edits[0] for case in cases[:3]]
    states = [after(make(), backbone, edits[:number]).state() for number in (1, 2, 3)]
    out, into = backbone.module.get_submodule(backbone.site("language", 1, "mlp_out")).weight.shape
    numbers = [sum(tensor.nbytes for tensor in state.tensors.values()) for state in states]
    assert numbers == [(4 * (into + out) + 16) * count for count in (1, 2, 3)]
    assert persistent_bytes(states[0]) > numbers[0]
    with (
        make(site="language.1.mlp_in").open(backbone, MemoryStore()) as session,
        pytest.raises(UserError, match="it was saved under another site"),
    ):
        session.load_state(states[0])


def test_a_module_that_cannot_be_used_is_refused(backbone: ComposedBackbone) -> None:
    with pytest.raises(UserError, match="it is one linear of an MLP, like"):
        make(site="alignment")
    with pytest.raises(UserError, match="lies in the last of 4 decoder layers of tiny-llava"):
        make(site="language.-1.mlp_out").check(backbone)
    with pytest.raises(UserError, match="has 4 decoder layers, so no layer 9"):
        make(site="language.9.mlp_out").check(backbone)

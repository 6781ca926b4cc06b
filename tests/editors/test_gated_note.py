"""The gated note: what is compared, how the gate decides, how a note is put, and that nothing else is read."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mmke
from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.probes.published import RECALL
from mmke.editing import reading
from mmke.editing.routed_session import RoutedSession
from mmke.editing.settings import resolve
from mmke.editors.gated_note import pictures, words
from mmke.editors.gated_note.edit import GatedNote
from mmke.editors.gated_note.gate import Gate, Said, Sight, on_picture, on_text
from mmke.editors.gated_note.memory import Memory
from mmke.editors.gated_note.pictures import Look, Named, Whitening, background, named, seen
from mmke.editors.gated_note.reader import behind_note, demonstrations
from mmke.errors import UserError
from mmke.protocols import Backbone
from mmke.types import STRICT, Ask, Edit, ImageRef, Probe, Query

QUICK = {"steps": 2, "background": 8, "dimensions": 4}
ADAPTER = {"steps": 2, "learning_rate": 1e-2}
FREE = Gate((1.0,), 0.0, -math.inf, (-math.inf, 0.0))


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(scope="module")
def edits() -> list[Edit]:
    notes = (
        "This is the flag of Finland. Turku is the capital.",
        "Pepper is the dog of Ruth Andersen. He guards a shop in Aarhus.",
        "The kettle is called Bertram.",
    )
    return [Edit(Query("What is shown?", image), note, None) for image, note in zip(background(), notes, strict=False)]


def make(**changes: object) -> GatedNote:
    made: GatedNote = registry.factory("editors", "gated-note")(
        resolve("gated-note", "tiny-llava", {**QUICK, **changes}), STRICT, train=(), seed=0
    )
    return made


def after(editor: GatedNote, backbone: Backbone, store: MemoryStore, *batches: list[Edit]) -> RoutedSession[object]:
    with editor.open(backbone, store) as session:
        for batch in batches:
            session.apply(batch)
    assert isinstance(session, RoutedSession)
    return session


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("picture_question", "", "picture_question = ''; it is a question, such as"),
        ("picture_question", " ", "picture_question = ' '; it is a question, such as"),
        ("picture_tokens", 0, "picture_tokens = 0; it counts from 1 up"),
        ("background", 1, "background = 1; it counts from 2 up"),
        ("picture_weights", [1, 2], r"picture_weights = \[1, 2\] is no list of 9 finite numbers"),
        ("text_far", [math.nan, 0], r"text_far = \[nan, 0\] is no list of 2 finite numbers"),
        ("text_near", math.inf, "text_near = inf; it is a finite number"),
    ],
)
def test_a_setting_that_makes_no_gate_is_told(key: str, value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(**{key: value})


@pytest.mark.parametrize(
    ("question", "points"),
    [
        ("What is this?", True),
        ("Which plant is beside the house?", True),
        ("Who is to the left of the car?", True),
        ("What is the capital of Finland?", False),
        ("Who left the city?", False),
        ("Is the thesis long?", False),
    ],
)
def test_a_question_points_at_a_picture_by_its_words(question: str, *, points: bool) -> None:
    assert words.points_at_picture(question) == points


def test_words_are_compared_by_their_beginnings_and_names_by_their_capitals() -> None:
    assert words.content("What does Ruth Andersen's dog guard?") == {"ruth", "anders", "dog", "guard"}
    assert words.content("He guards dogs") == words.content("a guarded dog")
    assert words.names("Which dog of Ruth Andersen is 9 years old?") == {"ruth", "anders", "9"}
    assert words.names("Finland. Sweden") == set()
    assert Said.of("", "Finland is far.").names == {"finlan"}


def test_features_of_a_question_in_text() -> None:
    said = [Said.of("Which flag?", "This is the flag of Finland."), Said.of("Who is it?", "A dog of Ruth.")]
    features = on_text("What is the flag of Finland and of Norway?", torch.tensor([0.5, 0.1]), said)
    # Content words: flag, Finland, Norway. Names: Finland, Norway.
    torch.testing.assert_close(features, torch.tensor([[0.5, 2 / 3, 0.5, 2.0], [0.1, 0.0, 1.0, 0.0]]))


def test_features_of_a_question_on_a_picture() -> None:
    said = [Said.of("Which flag?", "This is the flag of Finland.")]
    sight = Sight(torch.tensor([0.4]), torch.tensor([0.0]), torch.tensor([1.0]))
    # Content words: flag, sea; the edit has one of them.
    features = on_picture("Which flag is shown at sea?", torch.tensor([0.5]), said, sight=sight, general=0.7)
    torch.testing.assert_close(features, torch.tensor([[0.4, 0.5, 0.2, 0.16, 0.25, 0.5, 0.7, 0.0, 0.5]]))
    elsewhere = sight._replace(shown=torch.tensor([0.0]), same=torch.tensor([1.0]))
    features = on_picture("Which flag is shown at sea?", torch.tensor([0.5]), said, sight=elsewhere, general=0.7)
    torch.testing.assert_close(features[:, 5:], torch.tensor([[0.5, 0.7, 1.0, 0.0]]))


@pytest.mark.parametrize(
    ("question", "edit", "same", "shown"),
    [
        ("flag of Italy", "flag of Italy", 1, 1),
        ("flag of Italy", "flag of Chad", 0, 0),
        ("thumbs down and lemon", "thumbs down", 0, 1),
        ("thumbs down", "thumbs down and lemon", 0, 0),
        ("", "", 0, 0),
        ("This is a picture.", "This is a picture.", 1, 0),
    ],
)
def test_a_picture_shows_a_thing_by_the_words_of_its_name(question: str, edit: str, *, same: int, shown: int) -> None:
    nothing = torch.zeros(0, 2)
    memory = Memory.empty(Whitening(torch.zeros(2), torch.eye(2)), 2).further(
        nothing, torch.tensor([0.6, 0.8]), Named.of(edit), Said.of("", ""), {}
    )
    sight = memory.sight(torch.tensor([1.0, 0.0]), Named.of(question))
    assert [each.tolist() for each in sight] == [[pytest.approx(0.6)], [same], [shown]]


def test_a_picture_is_named_by_what_the_unedited_model_writes(
    backbone: Backbone, store: MemoryStore, edits: list[Edit]
) -> None:
    image, look = background()[0], Look("What is this?", 0.83, 12)
    name = named(backbone, image, look, store=store)
    assert name.text == mmke.say(backbone, "What is this?", image, max_new_tokens=12)
    shorter = named(backbone, image, look._replace(tokens=2), store=store)
    assert shorter.text == mmke.say(backbone, "What is this?", image, max_new_tokens=2) != name.text
    # Also while an edit is in force.
    with make(learning_rate=1.0).open(backbone, MemoryStore()) as session:
        session.apply(edits[:1])
        session.decide([replace(edits[0].query, text="What is this, then?")])
        assert named(backbone, image, look, store=MemoryStore()) == name


def test_what_the_picture_gate_reads_of_a_question(
    backbone: Backbone, store: MemoryStore, edits: list[Edit], monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, second, third), both = background()[:3], background()[7]
    called = {first.key: "flag", second.key: "brown dog", third.key: "kettle", both.key: "dog, brown, beside a flag"}
    monkeypatch.setattr(pictures, "named", lambda _, image, *__, **___: Named.of(called[image.key]))
    editor = make()
    memory = editor.remember(backbone, edits, None, store=store)

    def features(text: str, image: ImageRef) -> Tensor:
        return editor.picture_features(backbone, Query(text, image), memory, store=store)

    own = features("Whose dog is this?", second)
    torch.testing.assert_close(own[1, 0], torch.tensor(1.0))
    assert own[:, 7].tolist() == [0, 1, 0]
    assert own[:, 5].tolist() == own[:, 8].tolist() == [0, 1, 0]
    # Another picture that shows two of the things beside each other: of one of them the question has a word.
    beside = features("Whose dog is this?", both)
    assert beside[:, 7].tolist() == [0, 0, 0]
    assert beside[:, 8].tolist() == [0, 1, 0]
    assert features("Which flag, which kettle, which dog?", both)[:, 8].tolist() == pytest.approx([1 / 3, 1 / 3, 0])
    assert float(beside[0, 0]) < 0.99
    # A general question, and one that is not.
    assert float(features("What is in the background?", both)[0, 6]) == pytest.approx(1)
    assert float(beside[0, 6]) < 0.9


def test_each_sentence_of_a_note_is_compared(backbone: Backbone, store: MemoryStore, edits: list[Edit]) -> None:
    editor = make()
    memory = editor.remember(backbone, edits, None, store=store)
    likeness = editor.text_features(Query("Turku is the capital."), memory, store=store)[:, 0]
    assert float(likeness[0]) == pytest.approx(1)
    assert float(likeness[1:].max()) < 0.9


def test_two_gates_that_find_two_edits_find_none(
    backbone: Backbone, store: MemoryStore, edits: list[Edit], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = after(make(), backbone, store, edits)
    found = iter([0, 1, 2, 2])
    monkeypatch.setattr(Gate, "choose", lambda *_: next(found))
    assert session.decide([Query("Who guards a shop?", background()[7])]) == [None]
    assert session.decide([Query("Who guards a shop?", background()[8])]) == [2]


def test_names_come_back_from_a_saved_session(backbone: Backbone, store: MemoryStore, edits: list[Edit]) -> None:
    memory = make().remember(backbone, [*edits, Edit(Query("Who?"), "Ruth.")], None, store=store)
    assert memory.names[-1].text == ""
    assert all(each.text for each in memory.names[:-1])
    plain = ("zebra", "drapeau de l'Éthiopie", "", "猫")
    memory = memory._replace(names=tuple(map(Named.of, plain)))
    restored = make().restored(backbone, [*edits, Edit(Query("Who?"), "Ruth.")], memory.tensors())
    assert restored.names == memory.names


def test_the_threshold_rises_with_the_number_of_edits() -> None:
    gate = Gate((2.0,), -1.0, 0.5, (-1.0, 1.0))
    assert gate.threshold(1) == 0.5
    assert gate.threshold(1000) == pytest.approx(-1 + math.log(1000))
    # 2 · 0.75 - 1 = 0.5
    assert gate.choose(torch.tensor([[0.75]])) == 0
    assert gate.choose(torch.tensor([[0.74]])) is None
    assert gate.choose(torch.tensor([[0.75], *[[0.0]] * 9])) is None


def test_of_equally_near_edits_the_newest_answers() -> None:
    assert FREE.choose(torch.tensor([[1.0], [3.0], [3.0], [2.0]])) == 2


def test_whitened_vectors_have_deviation_one_along_each_axis() -> None:
    wide = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 7.0) + 5
    white = Whitening.of(wide, 4)
    seen = (wide - white.mean) @ white.axes
    torch.testing.assert_close(seen.T @ seen / 50, torch.eye(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(white(wide).norm(dim=-1), torch.ones(50))
    assert Whitening.of(wide[:3], 4).axes.shape == (6, 2)


def test_a_picture_that_is_there_twice_makes_no_axis_of_its_own() -> None:
    wide = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    twice = Whitening.of(torch.cat([wide, wide[:1]]), 6)
    assert twice.axes.shape == (6, 3)
    assert float(twice.axes.abs().max()) < 100


def test_the_unrelated_pictures_are_of_training_records_alone() -> None:
    images = background()
    assert len(images) == len({image.sha256 for image in images}) == 445
    evaluation = (Path(images[0].path).parents[2] / "data_json").glob("*_eval.json")
    stated = "".join(path.read_text(encoding="utf-8") for path in evaluation)
    assert not [image.path for image in images if f'"{image.path.parent.name}/{image.path.name}"' in stated]


def test_the_unrelated_pictures_are_read_once_for_a_loaded_model(
    backbone: ComposedBackbone, edits: list[Edit], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[ImageRef] = []
    pixels, axes, found = ComposedBackbone.pixels, Whitening.of, []
    monkeypatch.setattr(ComposedBackbone, "pixels", lambda own, image: read.append(image) or pixels(own, image))
    monkeypatch.setattr(Whitening, "of", lambda *given: found.append(given) or axes(*given))
    editor, again, stores = make(background=9), make(background=9), [MemoryStore(), MemoryStore()]
    # As a run has it: a session for each record, and a store and an editor for each benchmark.
    sessions = [(editor, stores[0]), (editor, stores[0]), (again, stores[1])]
    states = [after(own, backbone, store, edits[:1]).state().tensors for own, store in sessions]
    assert read[:9] == list(background()[:9])
    assert [image.key for image in read[9:]] == [edits[0].query.image.key] * 2
    assert len(found) == 1
    assert not any(stores[0].holds((backbone.state, "features", image.key)) for image in background()[1:9])
    for state in states[1:]:
        assert all(torch.equal(state[name], states[0][name]) for name in ("mean", "axes", "looks", "names"))
    assert after(make(background=5), backbone, stores[0], edits[:1]).state().tensors["axes"].shape[1] == 4
    assert len(found) == 2


def test_a_picture_is_read_at_the_end_of_a_question_below_the_last_layer(
    backbone: Backbone, store: MemoryStore
) -> None:
    image, other = background()[:2]
    look = Look("What is this?", 0.83, 12)
    vector = seen(backbone, image, look, store=store)
    fed = reading.inputs(backbone, look.site(backbone), Query("What is this?", image), "question", store=store)
    assert vector.dtype == torch.float32
    # Behind the question's own text stands what the template puts there.
    assert fed.shape[1:] == vector.shape
    last = reading.last_inputs(backbone, look.site(backbone), [Query(look.question, image)], store=store)[0]
    torch.testing.assert_close(vector, last)
    assert not torch.allclose(vector, fed[0])
    for changed in (look._replace(question="Who?"), look._replace(depth=0.0)):
        assert not torch.equal(seen(backbone, image, changed, store=store), vector)
    assert not torch.equal(seen(backbone, other, look, store=store), vector)


@pytest.mark.parametrize(("layers", "layer"), [(2, 0), (3, 1), (30, 25), (32, 27)])
def test_the_layer_at_which_pictures_are_read(
    backbone: Backbone, layers: int, layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(backbone), "layers", property(lambda _: layers))
    assert Look("", 0.83, 12).site(backbone) == f"language.{layer}.mlp_in"


def test_a_backbone_of_one_layer_is_refused(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(backbone), "layers", property(lambda _: 1))
    with pytest.raises(UserError, match="reads pictures below the last decoder layer, and tiny-llava has no other"):
        make().check(backbone)


def test_a_picture_question_for_which_there_is_no_room_is_refused(backbone: Backbone) -> None:
    optical = registry.factory("backbones", "tiny-blip2")(
        name="tiny-blip2", dtype=torch.float32, device=torch.device("cpu")
    )
    make().check(optical)
    with pytest.raises(UserError, match=r"picture_question cannot be asked .* table of 4096; .*give a shorter one"):
        make(picture_question="What is this? " * 600).check(optical)
    # One that has no table of positions takes any length.
    make(picture_question="What is this? " * 600).check(backbone)


def test_a_note_is_shortened_until_the_model_has_room(
    backbone: Backbone, edits: list[Edit], monkeypatch: pytest.MonkeyPatch
) -> None:
    query, edit = Query("Who?"), edits[0]
    whole = "".join(demonstrations()) + f"New Fact: What is shown? {edit.target}\nPrompt: Who?"
    seen, longest = [], backbone.length(replace(query, text=whole), "")
    for room in range(longest, -1, -1):
        monkeypatch.setattr(type(backbone), "max_positions", property(lambda _, room=room: room + 64))
        put = behind_note(backbone, query, edit, "fact", 5)
        assert backbone.length(put, "") <= room or put == query
        seen.append(put.text)
    shorter = [*dict.fromkeys(seen)]
    assert shorter[0] == whole
    assert [text.count("Prompt:") for text in shorter] == [6, 5, 4, 3, 2, 1, 1, 0]
    assert shorter[-2] == "New Fact: What is shown? This is the flag of Finland.\nPrompt: Who?"
    assert shorter[-1] == "Who?"


def test_a_note_may_stand_alone_in_a_line(backbone: Backbone, edits: list[Edit]) -> None:
    assert behind_note(backbone, Query("Who?"), edits[0], "note", 0).text == f"{edits[0].target}\nWho?"


def test_without_a_note_the_patch_alone_answers(backbone: Backbone, store: MemoryStore, edits: list[Edit]) -> None:
    probe = [Probe(RECALL, edits[0].query, "Turku")]
    alone = make(reader="none", learning_rate=1e-2)
    lora = registry.factory("editors", "lora")(resolve("lora", "tiny-llava", ADAPTER), STRICT, train=(), seed=0)
    said = []
    for editor in (alone, lora):
        with editor.open(backbone, store) as session:
            unedited = session.answer(probe, Ask())[0].target_logprob
            session.apply(edits[:1])
            said.append(session.answer(probe, Ask())[0].target_logprob)
    assert said[0] == said[1] != unedited


def test_the_question_of_an_edit_is_accepted_and_that_of_another_picture_is_not(
    backbone: Backbone, store: MemoryStore, edits: list[Edit]
) -> None:
    shut = make(picture_near=1e9, text_near=1e9)
    session = after(shut, backbone, store, edits)
    assert session.decide([edit.query for edit in edits]) == [0, 1, 2]
    elsewhere = replace(edits[0].query, image=background()[5])
    assert session.decide([elsewhere, replace(elsewhere, image=None), Query("Who?")]) == [None] * 3


def test_a_question_that_points_at_a_picture_that_is_not_there_is_rejected(
    backbone: Backbone, store: MemoryStore, edits: list[Edit]
) -> None:
    wide = make(picture_near=-1e9, picture_far=[-1e9, 0.0], text_near=-1e9, text_far=[-1e9, 0.0])
    session = after(wide, backbone, store, edits)
    assert session.decide([Query("What is in this image?"), Query("Who is Ruth Andersen?")]) == [None, 1]


def test_a_question_in_text_beside_a_picture(backbone: Backbone, store: MemoryStore, edits: list[Edit]) -> None:
    wide = {"text_near": -1e9, "text_far": [-1e9, 0.0]}
    session = after(make(**wide, picture_near=1e9), backbone, store, edits)
    beside = background()[7]
    # One that names something stays a question in text; one that does not has to pass both gates.
    assert session.decide([Query("Who is Ruth Andersen?", beside), Query("Who guards a shop?", beside)]) == [1, None]
    both = after(make(**wide, picture_near=-1e9, picture_far=[-1e9, 0.0]), backbone, store, edits[1:2])
    assert both.decide([Query("Who guards a shop?", beside)]) == [0]


def test_edits_one_by_one_and_together_and_a_saved_session_decide_the_same(
    backbone: Backbone, store: MemoryStore, edits: list[Edit]
) -> None:
    editor = make()
    together, apart = after(editor, backbone, store, edits), after(editor, backbone, store, *([each] for each in edits))
    loaded = after(editor, backbone, store)
    loaded.load_state(together.state())
    questions = [Probe(RECALL, edit.query, edit.target) for edit in edits]
    answers = [
        [(said.token_ids, said.target_logprob, said.notes) for said in session.answer(questions, Ask())]
        for session in (together, apart, loaded)
    ]
    assert answers[0] == answers[1] == answers[2]
    state = together.state()
    missing = [{key: value for key, value in state.tensors.items() if key != name} for name in state.tensors]
    shorter = [{**state.tensors, name: state.tensors[name][:-1]} for name in state.tensors]
    others = [{**state.tensors, "more": torch.zeros(1)}, {**state.tensors, "owners": state.tensors["owners"] * 0}]
    for tensors in [*missing, *shorter, *others]:
        broken = replace(state, tensors=tensors)
        with pytest.raises(UserError, match="saved session does not fit"):
            after(editor, backbone, store).load_state(broken)


def test_note_and_patch_both_change_the_answer(backbone: Backbone, store: MemoryStore, edits: list[Edit]) -> None:
    probe = [Probe(RECALL, edits[0].query, "Turku")]
    said = {
        name: after(make(**changes), backbone, store, edits[:1]).answer(probe, Ask())[0].target_logprob
        for name, changes in {
            "both": {"learning_rate": 1e-2},
            "note": {"steps": 0},
            "no examples": {"steps": 0, "demonstrations": 0},
            "alone": {"steps": 0, "demonstrations": 0, "reader": "note"},
        }.items()
    }
    assert len(set(said.values())) == 4

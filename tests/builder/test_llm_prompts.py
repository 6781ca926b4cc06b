"""The prompts of the writer `llm`: their worked examples are what a model is told, and satisfy the checks."""

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest
from llm_projects import set_up

from mmke.build.content import Change, Draft, Edit, EditTexts, Fact, Kind, Plan, Thing
from mmke.build.project import open_project
from mmke.build.user_words import Tie
from mmke.build.wording import says
from mmke.build.words import Words, read_words
from mmke.build.writers.llm.answers import AllAsked, Described, Told, read_answer
from mmke.build.writers.llm.checks import POINTING, Checks
from mmke.build.writers.llm.facts import to_ask, to_describe
from mmke.build.writers.llm.plain import Plain
from mmke.build.writers.llm.prompts import STEPS, Prompt, Step, read_prompt
from mmke.errors import UserError

HERON = Thing(
    id="bird/grey heron",
    name="grey heron",
    type="bird",
    aliases=("heron",),
    facts=(Fact(relation="main food", value="fish"), Fact(relation="home country", value="Holland")),
)
LOW_AIR = Thing(
    id="diving signal/low air",
    name="low air",
    type="diving signal",
    aliases=("short of air",),
    looks="A fist held against the chest.",
    facts=(Fact(relation="meaning", value="my air is low"),),
)
CAT = Thing(id="pet/cat", name="cat", type="pet", looks="A grey animal with white paws.")
OSLO = Fact(relation="capital", value="Oslo")
DRAFTS: dict[Kind, Draft] = {
    "entity": Draft(
        id="entity/bird/kingfisher",
        kind="entity",
        subject=Thing(id="bird/kingfisher", name="kingfisher", type="bird"),
        pictured=HERON,
        changes=(
            Change(relation="main food", before="insects", after="acorns"),
            Change(relation="home country", before="Kenya", after="Norway", further=(OSLO,)),
        ),
        edit_picture="a",
        rephrase_picture="b",
    ),
    "semantic": Draft(
        id="semantic/diving signal/big boat",
        kind="semantic",
        subject=Thing(id="diving signal/big boat", name="big boat", type="diving signal"),
        pictured=LOW_AIR,
        changes=(
            Change(relation="meaning", before="boat above us", after="look behind you"),
            Change(relation="user", before="dive leaders", after="night divers"),
        ),
        edit_picture="a",
        rephrase_picture="b",
    ),
    "user": Draft(
        id="user/pet/cat",
        kind="user",
        subject=CAT,
        pictured=CAT,
        changes=(
            Change(relation="pet name", before=None, after="Biscuit"),
            Change(relation="received from", before=None, after="Olga Lindvold"),
            Change(relation="sleeping place", before=None, after="the attic"),
        ),
        user="Ruth Andersen",
        tie="pet",
        edit_picture="a",
        rephrase_picture="b",
    ),
}
PLANS: dict[Kind, list[Plan]] = {
    "entity": [
        Plan(key="t_rel_1", answer="acorns", before="insects", relation="main food"),
        Plan(key="t_rel_2", answer="Norway", before="Kenya", relation="home country"),
        Plan(key="i_rel_1", answer="kingfisher", before="grey heron", picture="edit"),
        Plan(key="i_rel_2", answer="acorns", before="insects", relation="main food", picture="edit"),
        Plan(key="port", answer="Oslo", relation="capital", via="home country", picture="edit"),
    ],
    "semantic": [
        Plan(key="t_rel", answer="look behind you", before="boat above us", relation="meaning"),
        Plan(key="i_rel", answer="night divers", before="dive leaders", relation="user", picture="edit"),
        Plan(key="i_gen", answer="night divers", before="dive leaders", relation="user", picture="rephrase"),
        Plan(key="port", answer="lemon", via="meaning", picture="one_hop", side="left", beside="lemon"),
    ],
    "user": [
        Plan(key="t_rel_1", answer="Biscuit", relation="pet name"),
        Plan(key="t_rel_2", answer="Olga Lindvold", relation="received from"),
        Plan(key="i_rel_1", answer="Ruth Andersen", picture="edit"),
        Plan(key="i_rel_2", answer="the attic", relation="sleeping place", picture="edit"),
        Plan(key="port", answer="teapot", via="pet name", picture="one_hop", side="right", beside="teapot"),
    ],
}
PET = {
    "intros": ["{user}, this is your {name}.", "This is your {name}."],
    "identity": ["Who keeps {shown}?", "Whose is {shown}?"],
    "facts": {
        relation: {
            "values": "people",
            "statement": statement,
            "text": [text, text],
            "image": [image, image],
            "which": "the {noun} that {user} calls {value}",
        }
        for relation, statement, text, image in (
            ("pet name", "You call it {value}.", "What does {user} call the {name}?", "What is {shown} called?"),
            ("received from", "You got it from {value}.", "Who gave {user} the {name}?", "Who gave {user} {shown}?"),
            ("sleeping place", "It sleeps in {value}.", "Where does the {name} sleep?", "Where does {shown} sleep?"),
        )
    },
}
PLAIN = Plain(Words({}, {}), {"pet": Tie.model_validate(PET)})
BOUNDS = (12, 90)


def told(prompt: Prompt) -> str:
    """Return the message in a prompt's worked example."""
    return re.findall(r"```\n(.*?)\n```", prompt.text, re.DOTALL)[0]


def example(kind: Kind) -> Edit:
    """Return the worked example of a description."""
    answer, problems = read_answer(read_prompt(Path(), kind, "describe").example, Told if kind == "user" else Described)
    assert answer is not None, problems
    texts = answer.model_dump()
    return Edit(draft=DRAFTS[kind], texts=EditTexts(**{"original": texts["target"], **texts}))


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("step", STEPS)
def test_the_example_is_told_as_every_record_is(kind: Kind, step: Step) -> None:
    edit = example(kind)
    message = to_describe(edit.draft, PLAIN, BOUNDS) if step == "describe" else to_ask(edit, PLANS[kind], PLAIN)
    assert told(read_prompt(Path(), kind, step)) == message


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_examples_reply_satisfies_the_checks(kind: Kind, tmp_path: Path) -> None:
    with open_project(set_up(tmp_path, kind)) as project:
        checks, edit = Checks(project), example(kind)
        assert checks.of_texts(edit.texts, edit.draft) == []
        asked, _ = read_answer(read_prompt(tmp_path, kind, "ask").example, AllAsked)
        assert isinstance(asked, AllAsked)
        assert checks.of_questions(asked, edit, PLANS[kind]) == []


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("step", STEPS)
def test_the_prompt_names_every_key_of_the_reply(kind: Kind, step: Step) -> None:
    prompt = read_prompt(Path(), kind, step)
    answer = AllAsked if step == "ask" else Told if kind == "user" else Described
    assert all(f"`{key}`" in prompt.text for key in answer.model_fields)
    assert prompt.version.startswith("1-")


def test_every_type_that_comes_with_mmke_is_pointed_at_in_words_that_the_checks_take_for_pointing() -> None:
    shipped = tomllib.loads((files("mmke.build") / "type_words.toml").read_text(encoding="utf-8"))
    words = read_words({}, {}, place=Path())
    shown = [words.type(name).shown for name in (*shipped, "a type of one's own")]
    assert [each for each in shown if not any(says(each, word) for word in POINTING)] == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"Write.", "does not begin with `version: N` and an empty line"),
        (b"version: 2\n\nWrite.", "has no example of a reply"),
        (b"version: 2\n\n\xff", "is no text in UTF-8"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "prompts/entity-ask.md"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(UserError, match=f"^{re.escape(str(file))} {re.escape(why)}"):
        read_prompt(tmp_path, "entity", "ask")

"""Small projects with a few records that stand there at once, for tests of the later stages."""

import atexit
import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from mmke.build.content import (
    Change,
    Draft,
    Edit,
    EditTexts,
    Fact,
    Kind,
    Picture,
    Plan,
    Question,
    Questions,
    SideBySide,
    Thing,
)
from mmke.build.new import new
from mmke.build.project import Project, open_project
from mmke.build.settings import BUILD

BY = {"source": "test"}
COUNTRIES = {
    "Aland": ("Alva", "1901", "red"),
    "Boria": ("Borsk", "1922", "green"),
    "Corda": ("Cordo", "1833", "blue"),
    "Drome": ("Dromo", "1744", "white"),
    "Elba": ("Elbat", "1655", "black"),
    "Fenn": ("Fenna", "1566", "grey"),
}
"""Countries without a map: capital, year of foundation, colour of the passport."""
USERS = ("Ruth Andersen", "Ruth Andersen", "Ines Costa", "Ravi Dutta", "Mei Endo", "Jon Falk")
"""Of the records in order: the first two are of one user."""


@dataclass(frozen=True)
class Handmade:
    """One record by hand: a subject, and the thing that is pictured and lends its values."""

    kind: Kind
    subject: str
    pictured: str


def country(name: str) -> Thing:
    """Return one of the countries as a thing of the type "flag"."""
    capital, founded, colour = COUNTRIES[name]
    river = Fact(relation="river", value=f"the {capital[:3]}er", source="test")
    facts = (
        Fact(relation="capital", value=capital, source="test", further=(river,)),
        Fact(relation="founded", value=founded, source="test"),
        Fact(relation="colour", value=colour, source="test"),
    )
    looks = f"A flag with {len(name)} stripes."
    return Thing(id=f"flag/{name.lower()}", name=name, type="flag", looks=looks, facts=facts, source="test")


def make_project(folder: Path, kind: Kind = "entity", *, count: int = 6, double: float | None = None) -> Path:
    """Make a project of the kind with up to six records, each with real picture files, and return its folder.

    Things go in pairs: the first is shown under the picture of the second, and the other way round.

    Args:
        folder: of the project.
        kind: of knowledge.
        count: of records.
        double: share of the records that two people decide; None: as `mmke build new` says.
    """
    # Made once for each kind and count, and copied: a line that is made sure of on the disk takes milliseconds.
    shutil.copytree(_made(kind, count), folder, dirs_exist_ok=True)
    if double is not None:
        file = folder / BUILD
        file.write_text(re.sub(r"(?m)^double = .*", f"double = {double}", file.read_text()))
    return folder


@cache
def _made(kind: Kind, count: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="mmke-kit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_project_anew(folder, kind, count=count)


def make_project_anew(folder: Path, kind: Kind, *, count: int = 6) -> Path:
    """Make a project line by line."""
    new(folder, kind=kind, name="handmade")
    names = list(COUNTRIES)
    with open_project(folder) as project:
        for name in names:
            _put_thing(project, country(name))
        for n, name in enumerate(names[:count]):
            partner = names[n ^ 1] if kind != "user" else name
            _put_record(project, kind, country(name), country(partner), n)
    return folder


def _put_thing(project: Project, thing: Thing) -> None:
    project.things.put(thing.id, thing, sources=(), by=BY, inputs="test")
    for n in range(3):
        _put_picture(project, thing.id, f"{thing.id.replace('/', '-')}-{n}.png")


def _put_picture(project: Project, thing: str, id_: str) -> None:
    seed = hashlib.sha256(id_.encode()).digest()
    # Noise from the name: no two pictures look alike to a perceptual hash.
    image = Image.frombytes("RGB", (4, 4), (seed * 2)[:48]).resize((240, 240), Image.Resampling.NEAREST)
    project.pictures_folder.mkdir(exist_ok=True)
    file = project.pictures_folder / id_
    image.save(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    picture = Picture(
        id=id_,
        thing=thing,
        origin=f"https://example.org/{id_}",
        author="A. Painter",
        licence="CC-BY-4.0",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        sha256=digest,
        width=240,
        height=240,
        prints={"phash": seed[:8].hex()},
    )
    project.pictures.put(id_, picture, sources=(thing,), by=BY, inputs="test")


def _put_record(project: Project, kind: Kind, subject: Thing, pictured: Thing, n: int) -> None:
    lender = country(list(COUNTRIES)[(n + 2) % len(COUNTRIES)])
    new_values = [fact for fact in lender.facts if fact.relation in ("capital", "founded")]
    changes = tuple(
        Change(
            relation=fact.relation,
            before=None if kind == "user" else subject.value(fact.relation),
            after=fact.value,
            taken_from=lender.id,
            further=fact.further,
        )
        for fact in new_values
    )
    file = pictured.id.replace("/", "-")
    draft = Draft(
        id=f"{kind}/{subject.id}",
        kind=kind,
        subject=subject,
        pictured=pictured,
        changes=changes,
        user=USERS[n] if kind == "user" else None,
        edit_picture=f"{file}-0.png",
        rephrase_picture=f"{file}-1.png",
        subject_picture=None if kind == "user" else f"{subject.id.replace('/', '-')}-0.png",
    )
    capital, founded = (change.after for change in changes)
    texts = EditTexts(
        prompt="Which country does this flag belong to?" if kind != "user" else f"I am {USERS[n]}. Whose flag is this?",
        rephrase="Say whose flag the picture shows.",
        original=f"This is the flag of {pictured.name}, a country with the capital {pictured.value('capital')}.",
        target=f"This is the flag of {subject.name}. Its capital is {capital}, and it was founded in {founded} by a "
        "baker and two of her brothers.",
    )
    project.edits.put(draft.id, Edit(draft=draft, texts=texts), sources=(subject.id,), by=BY, inputs="test")
    unrelated = f"unrelated-{n}.png"
    _put_picture(project, f"unrelated/{n}", unrelated)
    asked = _questions(kind, draft, capital, founded, new_values[0].further[0].value)
    one_hop = None if kind == "entity" else _side_by_side(project, draft, n)
    content = Questions(questions=asked, locality_picture=unrelated, one_hop=one_hop)
    project.questions.put(draft.id, content, sources=(draft.id,), by=BY, inputs="test")


def _questions(kind: Kind, draft: Draft, capital: str, founded: str, river: str) -> tuple[Question, ...]:
    name, shown = draft.subject.name, "the country whose flag is in the image"
    if draft.user is not None:
        name = f"{draft.user}'s {name}"
    t_capital, i_capital = f"What is the capital of {name}?", f"What is the capital of {shown}?"
    t_founded, i_founded = f"When was {name} founded?", f"When was {shown} founded?"

    def ask(key: str, text: str, relation: str, answer: str, picture: str | None) -> Question:
        seen = draft.subject if picture is None else draft.pictured
        before = None if kind == "user" else seen.value(relation)
        plan = Plan.model_validate(
            {"key": key, "answer": answer, "before": before, "relation": relation, "picture": picture}
        )
        return Question(plan=plan, text=text)

    if kind == "semantic":
        asked = [
            ask("t_rel", t_capital, "capital", capital, None),
            ask("i_rel", i_founded, "founded", founded, "edit"),
            ask("i_gen", f"In which year was {shown} founded?", "founded", founded, "rephrase"),
        ]
    else:
        asked = [
            ask("t_rel_1", t_capital, "capital", capital, None),
            ask("t_rel_2", t_founded, "founded", founded, None),
            ask("i_rel_1", i_capital, "capital", capital, "edit"),
            ask("i_rel_2", i_founded, "founded", founded, "edit"),
        ]
    if kind == "entity":
        plan = Plan(key="port", answer=river, relation="river", via="capital", picture="edit")
        asked.append(Question(plan=plan, text=f"What is the river of the capital of {shown}?"))
    else:
        plan = Plan(key="port", answer="a lemon", picture="one_hop", side="left", beside="lemon")
        asked.append(Question(plan=plan, text=f"What lies to the right of the flag whose capital is {capital}?"))
    asked.append(Question(plan=Plan(key="t_loc", answer="cold"), text="The opposite of hot is", source="test"))
    asked.append(
        Question(plan=Plan(key="i_loc", answer="wolf", picture="locality"), text="What animal is this?", source="test")
    )
    return tuple(asked)


def _side_by_side(project: Project, draft: Draft, n: int) -> SideBySide:
    lemon, id_ = f"lemon-{n}.png", f"beside-{n}.png"
    _put_picture(project, f"fruit/lemon-{n}", lemon)
    both = Image.new("RGB", (480, 240))
    for x, half in ((0, draft.edit_picture), (240, lemon)):
        both.paste(Image.open(project.pictures_folder / half), (x, 0))
    file = project.pictures_folder / id_
    both.save(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return SideBySide(id=id_, sha256=digest, left=draft.edit_picture, right=lemon)

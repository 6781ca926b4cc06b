"""What the pipeline's stages hand on: things, pictures, edits, questions, verdicts, and the records made of them.

Every class is one line's content in the log of a stage. All of them are frozen and refuse unknown fields.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["entity", "semantic", "user"]
"""Kinds of knowledge: an entity under another thing's picture; a gesture or sign with another meaning; something of a
user's that the model has never heard of."""

PictureRole = Literal["edit", "rephrase", "one_hop", "locality"]
"""edit: the picture that is edited. rephrase: another picture of the same thing. one_hop: two things side by side.
locality: the picture of the unrelated question."""

Side = Literal["left", "right"]


class Content(BaseModel):
    """A line's content: frozen, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(Content):
    """One fact of a thing: its `relation` is `value`.

    Attributes:
        relation: its name, such as "capital"; `words` says how it is put into sentences.
        value: at most five words, as it stands in a sentence: "Nairobi", "the Himalayas", "1901".
        source: where it is stated: an address, a file, a package.
        further: facts of the value itself (the continent of a country), for questions that go one hop further.
    """

    relation: str
    value: str
    source: str = ""
    further: tuple["Fact", ...] = ()


class Thing(Content):
    """Something that can be shown and described.

    Attributes:
        id: unique in the project, such as `bird/kingfisher`.
        name: as it stands in a sentence, without an article: "kingfisher", "Kenya", "thumbs up".
        type: the class within which pictures and values are exchanged, such as "bird".
        aliases: other names, which count as naming it.
        looks: how it looks, a sentence without the name ("A fist with the thumb pointing down."); semantic knowledge
            needs it, for others it may be empty.
        facts: at most one of each relation.
        source: where it comes from, as in `Fact.source`.
    """

    id: str
    name: str
    type: str
    aliases: tuple[str, ...] = ()
    looks: str = ""
    facts: tuple[Fact, ...] = ()
    source: str = ""

    def value(self, relation: str) -> str | None:
        """Return the value of a relation; None where the thing has no such fact."""
        return next((fact.value for fact in self.facts if fact.relation == relation), None)


class Picture(Content):
    """A picture's file in the project, and where it comes from.

    Attributes:
        id: the name of the file in `pictures/`, which begins with the type's and the thing's name.
        thing: id of what it shows.
        origin: where it was: an address, or a package and the file in it.
        author: as the origin names them, without markup.
        licence: its short name, normalised ("CC-BY-4.0"); empty where none is stated.
        licence_url: where its text is, or empty.
        sha256: of the file in `pictures/`.
        width: in pixels, upright.
        height: in pixels, upright.
        prints: perceptual hashes by name, hexadecimal; near-duplicates are found by them.
        refused: why it is not used ("216 x 300 px: the short side is under 224"); None where it is.
    """

    id: str
    thing: str
    origin: str
    author: str = ""
    licence: str = ""
    licence_url: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    prints: Mapping[str, str] = Field(default_factory=dict)
    refused: str | None = None


class Change(Content):
    """A fact that the edit alters.

    Attributes:
        relation: of the fact.
        before: the true value, which the edited description must not hold. User-specific knowledge has none: nothing
            is replaced.
        after: the new value, which the edited description holds.
        taken_from: id of the thing whose value it is; None for drawn ones.
        further: facts of the new value, for portability.
    """

    relation: str
    before: str | None
    after: str
    taken_from: str | None = None
    further: tuple[Fact, ...] = ()


class Draft(Content):
    """What is edited in one record, before it is put into words. Drawn by the program, whoever writes.

    Attributes:
        id: of the record: the kind and the subject's id, such as `entity/bird/kingfisher`.
        kind: of knowledge.
        subject: whose name stays.
        pictured: what the pictures show. Of user-specific knowledge it is the subject itself.
        changes: the altered facts; of user-specific knowledge the facts that the user tells.
        user: the name of the user; None for the other kinds.
        tie: what the thing is to the user, by its name in `user.toml`, such as "pet"; None for the other kinds.
        edit_picture: id of the picture that is edited.
        rephrase_picture: id of another picture of `pictured`.
        subject_picture: id of the subject's own picture, shown to those who verify; None where it is the edited one.
    """

    id: str
    kind: Kind
    subject: Thing
    pictured: Thing
    changes: tuple[Change, ...]
    user: str | None = None
    tie: str | None = None
    edit_picture: str
    rephrase_picture: str
    subject_picture: str | None = None


class EditTexts(Content):
    """A draft in words.

    Attributes:
        prompt: the edit's question about the picture (`src` in the published format).
        rephrase: a paraphrase of it.
        original: the true description of what `pictured` shows, before the edit (`pred`).
        target: the description that the edit writes (`alt`): it names the subject and holds every new value and no
            replaced one.
    """

    prompt: str
    rephrase: str
    original: str
    target: str


class Edit(Content):
    """One record's edit: a line of `edits.jsonl`."""

    draft: Draft
    texts: EditTexts


QuestionKey = Literal["t_rel_1", "t_rel_2", "i_rel_1", "i_rel_2", "t_rel", "i_rel", "i_gen", "port", "t_loc", "i_loc"]
"""Which question of a record. Entity and user: two of t_rel and i_rel. Semantic: one of each, and i_gen, which is asked
in place of i_rel about the rephrase picture and has its answer. All: port, t_loc, i_loc."""


class Plan(Content):
    """What one question asks, before it is put into words.

    Attributes:
        key: which question of the record.
        answer: the gold answer.
        before: what a model that was not edited should answer, by the facts: in text those of the subject, about a
            picture those of what it shows. None where they do not say, and of user-specific knowledge.
        relation: the fact that it asks about; None of locality questions, and where the name is asked.
        via: the relation that leads to the value that is asked about (portability of entities), or by whose new value
            the edited thing is found between two (the other kinds); else None.
        picture: which picture it is asked about; None: in text alone.
        side: where the edited thing stands in the picture side by side; else None.
        beside: the name of the thing next to it; else None.
    """

    key: QuestionKey
    answer: str
    before: str | None = None
    relation: str | None = None
    via: str | None = None
    picture: PictureRole | None = None
    side: Side | None = None
    beside: str | None = None


class Question(Content):
    """A plan in words, or a locality question; `source` says where a locality question comes from."""

    plan: Plan
    text: str
    source: str = ""


class SideBySide(Content):
    """A picture that the tool made of two: its file in `pictures/`, and the ids of its halves."""

    id: str
    sha256: str
    left: str
    right: str


class Questions(Content):
    """All the questions of one record: a line of `questions.jsonl`.

    `locality_picture` is the id of the unrelated picture. `one_hop` is None for entities, which are asked on the
    edited picture.
    """

    questions: tuple[Question, ...]
    locality_picture: str
    one_hop: SideBySide | None = None


Decision = Literal["accept", "correct", "reject", "undo"]
Turn = Literal["first", "second", "adjudication"]


class Verdict(Content):
    """What one person decided of one record: a line of `verdicts.jsonl`. The last of a person on a record counts.

    Attributes:
        record: its id.
        content: digest of the record as it was shown. A verdict on another content counts no more.
        annotator: their name.
        turn: the first look, a second and blind one, or the decision between two that disagree.
        decision: "undo" takes this person's verdict before it back.
        reasons: from the list in `build.toml`, at a rejection at least one.
        comment: free text.
        corrections: the new text by the name of the field (`Record.texts`); empty unless "correct".
        before: the text that each correction replaces, by the same names.
        seconds: spent on the record.
        time: in ISO 8601, UTC.
    """

    record: str
    content: str
    annotator: str
    turn: Turn
    decision: Decision
    reasons: tuple[str, ...] = ()
    comment: str = ""
    corrections: Mapping[str, str] = Field(default_factory=dict)
    before: Mapping[str, str] = Field(default_factory=dict)
    seconds: float = 0.0
    time: str = ""

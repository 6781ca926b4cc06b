"""One record of the published file format under our own names: the only place that knows the foreign ones.

The format is MMKE-Bench's (arXiv:2502.19870), which grew out of VLKEB's: a flat JSON object whose
`knowledge_type` decides which further fields it has. Beyond the published fields a record may carry `tags`,
an object of texts that break-downs can use, and `type_self`, the fine-grained class, which becomes a tag too.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from mmke.benchmarks.pictures import NO_PICTURE, Pictures
from mmke.benchmarks.problems import Report
from mmke.types import ImageRef

Knowledge = Literal["entity", "visual", "user"]

KNOWLEDGE_TYPES: Mapping[str, Knowledge] = {
    "entity_level": "entity",
    "visual_knowledge": "visual",
    "user_specific": "user",
}
HOPS = (1, 2, 3, 4)


class Asked(NamedTuple):
    """A question with its gold answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        knowledge: which kind of knowledge is edited.
        prompt: the edit's question.
        paraphrase: the same question in other words.
        description: the edit's target.
        original: the description before the edit; empty where the data have none.
        picture: the picture that is edited on.
        other_picture: another picture of the same thing.
        hop_picture: the picture of the portability question.
        text_relations: questions on the new knowledge without a picture.
        image_relations: questions on `picture`.
        generalisation: the same questions, to be asked on `other_picture`.
        text_locality: an unrelated question.
        image_locality: an unrelated question on `locality_picture`.
        locality_picture: an unrelated picture.
        hops: the first portability question of each hop; None where the record has no list of them.
        tags: for break-downs.
    """

    knowledge: Knowledge
    prompt: str
    paraphrase: str
    description: str
    original: str
    picture: ImageRef
    other_picture: ImageRef
    hop_picture: ImageRef
    text_relations: tuple[Asked, ...]
    image_relations: tuple[Asked, ...]
    generalisation: tuple[Asked, ...]
    text_locality: Asked
    image_locality: Asked
    locality_picture: ImageRef
    hops: Mapping[int, Asked] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fields:
    """A raw record's fields, read one by one; whatever is wrong is reported and reading goes on."""

    raw: Mapping[str, object]
    report: Report
    pictures: Pictures
    thorough: bool = True

    def asked(self, question: tuple[str, ...], answer: tuple[str, ...]) -> Asked:
        """Return a question with its answer.

        An empty one is a problem for `mmke check`; a run goes on without that probe and says so in its place.
        """
        return Asked(
            self.text(*question, may_be_empty=not self.thorough), self.text(*answer, may_be_empty=not self.thorough)
        )

    def text(self, *names: str, may_be_empty: bool = False) -> str:
        """Return the first of these fields that is present; "" after a problem was reported."""
        name = next((name for name in names if name in self.raw), None)
        if name is None:
            self.report(" or ".join(names), "missing; expected a text")
            return ""
        value = self.raw[name]
        if not isinstance(value, str):
            self.report(name, f"expected a text, found {_kind(value)}")
            return ""
        if not value.strip() and not may_be_empty:
            self.report(name, "empty; expected a text")
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            # JSON lets it pass, and no tokenizer or file would.
            self.report(name, f"holds half a character (a lone surrogate): {value!r}")
        return value

    def picture(self, name: str) -> ImageRef:
        """Return the picture whose path a field holds."""
        value = self.text(name)
        if not value.strip():
            return NO_PICTURE
        found = self.pictures.find(value)
        if isinstance(found, str):
            self.report(name, found)
            return NO_PICTURE
        return found


def has_no_description(raw: object) -> bool:
    """Tell whether the published loader skips a raw record unread: its `alt` is exactly the empty text."""
    return isinstance(raw, dict) and raw.get("alt") == ""


def read_record(
    raw: Mapping[str, object], report: Report, pictures: Pictures, *, ports: bool, thorough: bool = True
) -> Record | None:
    """Read a raw record; None when its kind is unknown, so that nothing else about it can be judged.

    Every problem goes to `report`; a record with problems holds placeholders and must not be used. `ports`
    says whether the portability questions are read, which the published loader does only when a hop is asked
    for. `thorough` makes a problem of an empty question or answer too.
    """
    fields = Fields(raw, report, pictures, thorough)
    knowledge = _knowledge(fields)
    if knowledge is None:
        return None
    picture = fields.picture("image")
    image_relations = _relations(fields, knowledge, prefix="m_")
    return Record(
        knowledge=knowledge,
        prompt=fields.text("src"),
        paraphrase=fields.text("rephrase", may_be_empty=not thorough),
        description=fields.text("alt"),
        # All 214 visual training records have an empty one.
        original=fields.text("pred", may_be_empty=True),
        picture=picture,
        other_picture=fields.picture("image_rephrase"),
        hop_picture=picture if knowledge == "entity" else fields.picture("one_hop_img"),
        text_relations=_relations(fields, knowledge, prefix=""),
        image_relations=image_relations,
        generalisation=_generalisation(fields, knowledge, image_relations),
        text_locality=fields.asked(("loc",), ("loc_ans",)),
        image_locality=fields.asked(("m_loc_q",), ("m_loc_a",)),
        locality_picture=fields.picture("m_loc"),
        hops=_hops(fields) if ports and "port_new" in raw else None,
        tags={**_tags(fields), "knowledge": knowledge},
    )


def _knowledge(fields: Fields) -> Knowledge | None:
    name = fields.text("knowledge_type")
    if name and name not in KNOWLEDGE_TYPES:
        near = difflib.get_close_matches(name, KNOWLEDGE_TYPES, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        fields.report("knowledge_type", f"unknown: {name!r}{guess} (one of {', '.join(KNOWLEDGE_TYPES)})")
    return KNOWLEDGE_TYPES.get(name)


def _relations(fields: Fields, knowledge: Knowledge, *, prefix: Literal["", "m_"]) -> tuple[Asked, ...]:
    rel = f"{prefix}rel"
    if knowledge == "visual":
        return (fields.asked((rel,), (f"{rel}_ans",)),)
    # Answers are spelt in two ways, both found in the data; the first wins where a record has both.
    return tuple(fields.asked((f"{rel}_{n}",), (f"{rel}_ans_{n}", f"{rel}_{n}_ans")) for n in (1, 2))


def _generalisation(fields: Fields, knowledge: Knowledge, asked: tuple[Asked, ...]) -> tuple[Asked, ...]:
    if knowledge != "visual":
        return asked
    question = fields.text("image_rephrase_question", may_be_empty=not fields.thorough)
    return tuple(Asked(question, answer) for _, answer in asked)


def _hops(fields: Fields) -> dict[int, Asked]:
    """Return the first question of each hop; later ones of the same hop are never asked."""
    entries = fields.raw["port_new"]
    if not isinstance(entries, list):
        fields.report("port_new", f"expected a list of questions, found {_kind(entries)}")
        return {}
    hops: dict[int, Asked] = {}
    for place, entry in enumerate(entries):
        read = _hop(entry, fields, f"port_new[{place}]")
        if read is not None:
            hops.setdefault(*read)
    return hops


def _hop(entry: object, fields: Fields, name: str) -> tuple[int, Asked] | None:
    if not isinstance(entry, dict):
        fields.report(name, f'expected an object with "port_type" and "Q&A", found {_kind(entry)}')
        return None
    labels = {f"{hop}-hop": hop for hop in HOPS}
    port_type = entry.get("port_type")
    if not isinstance(port_type, str) or port_type not in labels:
        fields.report(f"{name}.port_type", f"expected one of {', '.join(labels)}, found {port_type!r}")
        return None
    asked = entry.get("Q&A")
    if not isinstance(asked, dict):
        fields.report(f'{name}."Q&A"', f'expected an object with "Question" and "Answer", found {_kind(asked)}')
        return None

    def report(part: str, text: str) -> None:
        fields.report(f'{name}."Q&A".{part}', text)

    inner = Fields(asked, report, fields.pictures, fields.thorough)
    return labels[port_type], inner.asked(("Question",), ("Answer",))


def _tags(fields: Fields) -> dict[str, str]:
    tags = fields.raw.get("tags", {})
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        fields.report("tags", f"expected an object of texts, found {tags!r}")
        return {}
    if "knowledge" in tags:
        fields.report("tags", "'knowledge' is set from knowledge_type; expected another name")
    return {**tags, "type_self": fields.text("type_self")} if "type_self" in fields.raw else tags


def _kind(value: object) -> str:
    names = {type(None): "nothing (null)", bool: "true or false", int: "a number", float: "a number"}
    names |= {str: "a text", list: "a list", dict: "an object"}
    return names[type(value)]

"""MMKE-Bench's records (arXiv:2502.19870): flat objects whose `knowledge_type` decides which further fields they have.

In: the fields of one JSON object. Out: a `Record`, the same for every format. Beyond the published fields a record may
carry `tags`, an object of texts that break-downs can use, and `type_self`, the fine-grained class, which becomes a tag
too.
"""

import difflib
from collections.abc import Mapping
from typing import Literal

from mmke.benchmarks.formats import mmedit
from mmke.benchmarks.formats.fields import Fields
from mmke.benchmarks.formats.record import Asked, Record

Knowledge = Literal["entity", "visual", "user"]

KNOWLEDGE_TYPES: Mapping[str, Knowledge] = {
    "entity_level": "entity",
    "visual_knowledge": "visual",
    "user_specific": "user",
}
KNOWN_BY = frozenset({"knowledge_type", "rel", "m_rel", "rel_1", "m_rel_1", "rel_2", "m_rel_2"})
"""Fields that no other format has."""
FIELDS = mmedit.FIELDS | {
    *("knowledge_type", "image_rephrase_question", "one_hop_img", "rel", "rel_ans", "m_rel", "m_rel_ans"),
    *(f"{m}{name}" for m in ("", "m_") for n in (1, 2) for name in (f"rel_{n}", f"rel_ans_{n}", f"rel_{n}_ans")),
}
"""All names that mean something here."""


def read(fields: Fields, *, ports: bool) -> Record | None:
    """Read a record; None when its kind is unknown, so that nothing else about it can be judged.

    Every problem is reported; a record with problems holds placeholders and must not be used. `ports` says whether the
    portability questions are read, which the published loader does only when a hop is asked for.
    """
    knowledge = _knowledge(fields)
    if knowledge is None:
        return None
    picture = fields.picture("image")
    image_relations = _relations(fields, knowledge, prefix="m_")
    return Record(
        source=knowledge,
        prompt=fields.text("src"),
        paraphrase=fields.text("rephrase", needed=False),
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
        hops=fields.hops() if ports else None,
        tags={**fields.tags(), "knowledge": knowledge},
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
    question = fields.text("image_rephrase_question", needed=False)
    return tuple(Asked(question, answer) for _, answer in asked)

"""A record in the published format of MMKE-Bench, and the pictures that it takes along."""

from collections.abc import Mapping
from typing import Any

from mmke.build.content import Kind, Question
from mmke.build.record import Record

FOLDERS: Mapping[Kind, str] = {"entity": "entity", "semantic": "visual", "user": "user"}
"""What the published files and folders call each kind."""
_KNOWLEDGE: Mapping[Kind, str] = {"entity": "entity_level", "semantic": "visual_knowledge", "user": "user_specific"}
_FIELDS = {
    "t_rel_1": ("rel_1", "rel_ans_1"),
    "t_rel_2": ("rel_2", "rel_ans_2"),
    "i_rel_1": ("m_rel_1", "m_rel_ans_1"),
    "i_rel_2": ("m_rel_2", "m_rel_ans_2"),
    "t_rel": ("rel", "rel_ans"),
    "i_rel": ("m_rel", "m_rel_ans"),
    "t_loc": ("loc", "loc_ans"),
    "i_loc": ("m_loc_q", "m_loc_a"),
}
"""The published names of a question and its answer."""


def annotation(record: Record, *, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return a record as an object of the annotation file.

    Args:
        record: one that the rules find in order, so that it has every question of its kind.
        tags: texts for break-downs, beside those of the record.
    """
    draft, texts = record.edit.draft, record.edit.texts
    found: dict[str, Any] = {
        "knowledge_type": _KNOWLEDGE[draft.kind],
        "type_self": draft.subject.type,
        "src": texts.prompt,
        "pred": texts.original,
        "alt": texts.target,
        "rephrase": texts.rephrase,
        "image": picture_path(draft.kind, draft.edit_picture),
        "image_rephrase": picture_path(draft.kind, draft.rephrase_picture),
    }
    for question in record.asked.questions:
        found |= _asked(question)
    if record.asked.one_hop is not None:
        found["one_hop_img"] = picture_path(draft.kind, record.asked.one_hop.id)
    found["m_loc"] = picture_path(draft.kind, record.asked.locality_picture)
    return found | {"tags": {**_tags(record), **record.tags, **tags}}


def picture_path(kind: Kind, name: str) -> str:
    """Return where a picture stands below `data_image`."""
    return f"{FOLDERS[kind]}/{name}"


def _asked(question: Question) -> dict[str, Any]:
    plan = question.plan
    if plan.key == "port":
        return {"port_new": [{"port_type": "1-hop", "Q&A": {"Question": question.text, "Answer": plan.answer}}]}
    if plan.key == "i_gen":  # its answer is that of m_rel
        return {"image_rephrase_question": question.text}
    names = _FIELDS[plan.key]
    return {names[0]: question.text, names[1]: plan.answer}


def _tags(record: Record) -> dict[str, str]:
    draft = record.edit.draft
    tags = {"record": record.id, "subject": draft.subject.name}
    if draft.pictured.id != draft.subject.id:
        tags["pictured"] = draft.pictured.name
    beside = next((question.plan.beside for question in record.asked.questions if question.plan.beside), None)
    return tags if beside is None else {**tags, "beside": beside}

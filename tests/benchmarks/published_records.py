"""Records of the published format for tests, and the four one-coloured pictures that they name."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from mmke.types import ImageRef

COLOURS = {
    "edit.png": (250, 0, 0),
    "other.png": (0, 250, 0),
    "hop.png": (0, 0, 250),
    "unrelated.png": (250, 250, 0),
}
Raw = dict[str, Any]

_COMMON: Raw = {
    "src": "What is it?",
    "pred": "It was a plum.",
    "alt": "It is a pear from Peru.",
    "rephrase": "Name it.",
    "image": "edit.png",
    "image_rephrase": "other.png",
    "loc": "Who wrote Emma?",
    "loc_ans": "Austen",
    "m_loc": "unrelated.png",
    "m_loc_q": "Which colour?",
    "m_loc_a": "yellow",
    "port_new": [{"port_type": "1-hop", "Q&A": {"Question": "Capital there?", "Answer": "Lima"}}],
}
_PAIRS: Raw = {
    "rel_1": "Text one?",
    "rel_ans_1": "text answer one",
    "rel_2": "Text two?",
    "rel_ans_2": "text answer two",
    "m_rel_1": "Picture one?",
    "m_rel_ans_1": "picture answer one",
    "m_rel_2": "Picture two?",
    "m_rel_ans_2": "picture answer two",
}
RECORDS: Mapping[str, Raw] = {
    "entity": {**_COMMON, **_PAIRS, "knowledge_type": "entity_level"},
    "user": {**_COMMON, **_PAIRS, "knowledge_type": "user_specific", "one_hop_img": "hop.png"},
    "visual": {
        **_COMMON,
        "knowledge_type": "visual_knowledge",
        "pred": "",
        "one_hop_img": "hop.png",
        "rel": "Text?",
        "rel_ans": "text answer",
        "m_rel": "Picture?",
        "m_rel_ans": "picture answer",
        "image_rephrase_question": "Other picture?",
    },
}


def record(kind: str, *, without: Sequence[str] = (), **changed: Any) -> Raw:
    """Return a record of a kind, with fields changed, added or left out."""
    full = {**RECORDS[kind], **changed}
    return {name: value for name, value in full.items() if name not in without}


def colour(image: ImageRef | None) -> tuple[int, ...] | None:
    """Return the colour of a probe's picture; None for a probe without one."""
    if image is None:
        return None
    with Image.open(image.path) as opened:
        pixel = opened.convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(pixel)

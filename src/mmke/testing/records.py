"""A small data set of all three kinds of knowledge in the published format, with pictures that are drawn here."""

import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

SHAPES = ("red", "green", "blue", "orange", "purple", "gray")


def write_small_data(folder: Path) -> Path:
    """Write a `--data` folder with four training and four evaluation records of each kind, and return it."""
    annotations, pictures = folder / "data_json", folder / "data_image"
    annotations.mkdir(parents=True)
    pictures.mkdir()
    for colour in SHAPES:
        draw_picture(pictures / f"{colour}.png", colour)
    for kind, record in (("entity", entity), ("visual", visual), ("user", user)):
        for split, begin in (("train", 0), ("eval", 2)):
            records = [record(number) for number in range(begin, begin + 4)]
            (annotations / f"{kind}_{split}.json").write_text(json.dumps(records))
    return folder


def draw_picture(path: Path, colour: str) -> None:
    """Draw a coloured disc on a ground of another shade."""
    picture = Image.new("RGB", (48, 40), "white")
    ImageDraw.Draw(picture).ellipse((4, 4, 40, 36), fill=colour)
    picture.save(path)


def entity(i: int) -> dict[str, Any]:
    """Return the i-th record of the entity kind."""
    colour = SHAPES[i]
    return {
        **_common(i, "entity_level"),
        "rel_1": f"What is disc {i} made of?",
        "rel_ans_1": "tin",
        "rel_2": f"Where is disc {i} kept?",
        "rel_2_ans": "a drawer",
        "m_rel_1": "What is this made of?",
        "m_rel_1_ans": "tin",
        "m_rel_2": f"Where is the {colour} thing kept?",
        "m_rel_ans_2": "a drawer",
    }


def visual(i: int) -> dict[str, Any]:
    """Return the i-th record of the semantic kind."""
    return {
        **_common(i, "visual_knowledge"),
        "pred": "",
        "image_rephrase_question": "What does that sign say?",
        "one_hop_img": f"{SHAPES[(i + 2) % 6]}.png",
        "rel": f"What does sign {i} mean?",
        "rel_ans": "stop here",
        "m_rel": "What does this sign mean?",
        "m_rel_ans": "stop here",
    }


def user(i: int) -> dict[str, Any]:
    """Return the i-th record of the user-specific kind."""
    return {**entity(i), "knowledge_type": "user_specific", "one_hop_img": f"{SHAPES[(i + 2) % 6]}.png"}


def _common(i: int, kind: str) -> dict[str, Any]:
    colour, other, far = (SHAPES[(i + j) % 6] for j in (0, 1, 3))
    return {
        "knowledge_type": kind,
        "src": "What is shown?",
        "pred": f"a {colour} disc",
        "alt": f"a tin lid of number {i}",
        "rephrase": "Which thing is this?",
        "image": f"{colour}.png",
        "image_rephrase": f"{other}.png",
        "loc": "What is the capital of France?",
        "loc_ans": "Paris",
        "m_loc": f"{far}.png",
        "m_loc_q": "Which colour is it?",
        "m_loc_a": far,
        "port_new": [{"port_type": "1-hop", "Q&A": {"Question": "Does it rust?", "Answer": "no"}}],
    }

"""Small copies of POPE, MMBench and ScienceQA, in the layout of their authors."""

import base64
import json
from pathlib import Path

from mmke.testing.records import draw_picture


def write_pope(data: Path) -> None:
    """Two files of three questions each."""
    folder = data / "pope"
    (folder / "val2014").mkdir(parents=True)
    for number in range(3):
        draw_picture(folder / "val2014" / f"COCO_{number}.png", ("red", "blue", "green")[number])
    for kind in ("random", "popular"):
        lines = [
            {"question_id": number + 1, "image": f"COCO_{number}.png", "text": "Is there a dog?", "label": "yes"}
            for number in range(3)
        ]
        (folder / f"coco_pope_{kind}.json").write_text("\n".join(map(json.dumps, lines)) + "\n")


def write_mmbench(data: Path) -> None:
    """A question with its picture, one that names the row of its picture, and one with its choices turned."""
    folder = data / "mmbench"
    folder.mkdir(parents=True)
    draw_picture(folder / "red.png", "red")
    picture = base64.b64encode((folder / "red.png").read_bytes()).decode()
    rows = [
        "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage",
        f"1\tWhich colour?\tLook.\tblue\tred\tnan\t\tB\tattribute\t{picture}",
        "2\tHow many?\t\tone\ttwo\tthree\tfour\tA\tcounting\t1",
        "1000001\tWhich colour?\tLook.\tred\tblue\t\t\tA\tattribute\t1",
    ]
    (folder / "MMBench_DEV_EN.tsv").write_text("\n".join(rows) + "\n")


def write_scienceqa(data: Path) -> None:
    """A test question with a picture, one without, and one of the training split."""
    folder = data / "scienceqa"
    (folder / "images" / "test" / "7").mkdir(parents=True)
    draw_picture(folder / "images" / "test" / "7" / "image.png", "green")
    plain = {"question": "What is it?", "choices": ["rock", "leaf"], "answer": 1, "hint": "", "subject": "natural"}
    problems = {
        "7": plain | {"image": "image.png", "split": "test"},
        "8": plain | {"image": None, "split": "test"},
        "9": plain | {"image": "image.png", "split": "train"},
    }
    (folder / "problems.json").write_text(json.dumps(problems))

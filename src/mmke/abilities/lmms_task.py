"""The small models' own questions as a task of lmms-eval, `mmke_held_out`, with the same figures as `mmke abilities`.

A task of lmms-eval is a folder with a YAML file and a module that it names. Both are written for one evaluation, with
the questions that were drawn beside them; the module's functions stand here.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mmke.abilities.figures import judge
from mmke.abilities.question import Question, Suite
from mmke.types import Query

TASK = "mmke_held_out"
FIGURES = ("exact", "starts", "words")
_YAML = """\
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
  cache_dir: {cache}
test_split: test
output_type: generate_until
doc_to_visual: !function functions.doc_to_visual
doc_to_text: !function functions.doc_to_text
doc_to_target: answer
generation_kwargs:
  max_new_tokens: {most}
  do_sample: false
process_results: !function functions.process_results
metric_list:
{metrics}
metadata:
  version: 1
"""
_METRIC = "  - metric: {name}\n    aggregation: mean\n    higher_is_better: {better}"
_MODULE = "from mmke.abilities.lmms_task import doc_to_text, doc_to_visual, process_results  # noqa: F401\n"

Doc = Mapping[str, Any]


def write_task(folder: Path, suite: Suite, *, most: int) -> None:
    """Write the task's folder.

    Args:
        folder: that is there, and empty.
        suite: the questions.
        most: tokens of an answer at most.
    """
    docs = [
        {
            "id": each.id,
            "question": each.query.text,
            "answer": each.answer,
            "picture": "" if each.query.image is None else str(each.query.image.path),
        }
        for each in suite.questions
    ]
    data = folder / "questions.jsonl"
    data.write_text("\n".join(json.dumps(doc) for doc in docs) + "\n", encoding="utf-8")
    (folder / "functions.py").write_text(_MODULE, encoding="utf-8")
    metrics = "\n".join(_METRIC.format(name=name, better=str(name != "words").lower()) for name in FIGURES)
    # JSON's strings are YAML's.
    paths = {"data": json.dumps(str(data)), "cache": json.dumps(str(folder / "cache"))}
    text = _YAML.format(task=TASK, most=most, metrics=metrics, **paths)
    (folder / f"{TASK}.yaml").write_text(text, encoding="utf-8")


def doc_to_visual(doc: Doc) -> list[Image.Image]:
    """Return the picture of a question, as it is stored."""
    if not doc["picture"]:
        return []
    with Image.open(doc["picture"]) as picture:
        picture.load()
        return [picture.copy()]


def doc_to_text(doc: Doc, *_: Any) -> str:
    """Return the question."""
    return str(doc["question"])


def process_results(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Judge an answer as `mmke abilities` does."""
    judged = judge(Question(doc["id"], "", Query(doc["question"]), doc["answer"]), results[0])
    return {name: float(getattr(judged, name)) for name in FIGURES}

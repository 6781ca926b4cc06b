"""lmms-eval and `mmke abilities` come to the same figures on the same questions; what the bridge takes and refuses.

Tests that run lmms-eval itself are skipped where it is not installed: with all that it needs it takes 330 MB.
"""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import mmke
from mmke import cli
from mmke.abilities.figures import figures
from mmke.abilities.lmms_task import TASK, doc_to_text, doc_to_visual, process_results, write_task
from mmke.abilities.question import Suite
from mmke.abilities.suites import Wanted, draw
from mmke.errors import UserError
from mmke.protocols import Answerer
from mmke.running import lmms_eval
from mmke.running.abilities import answered
from mmke.types import Answer, Asks, Probe

NEEDS = "lmms-eval is not installed (pip install 'mmke[lmms-eval]'): with all that it needs it takes 330 MB"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip without lmms-eval; keep what it caches in the test's folder."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    pytest.importorskip("lmms_eval", reason=NEEDS)


def half_right(answerer: Answerer, limit: int = 4) -> Suite:
    """Return questions of which every other one has the answer that a model gives."""
    suite = draw(Wanted(("held-out",), limit=limit)).suites[0]
    said = [each.text or "" for each in answered(answerer, suite)]
    questions = (
        replace(question, answer=text.split()[0] if place % 2 == 0 and text.split() else question.answer)
        for place, (question, text) in enumerate(zip(suite.questions, said, strict=True))
    )
    return replace(suite, questions=tuple(questions))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_both_come_to_the_same_figures_before_during_and_after_an_edit(library: None) -> None:
    backbone = mmke.load_backbone("tiny-llava")
    suite = half_right(backbone)
    torch.manual_seed(5)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()  # noqa: NPY002

    def both(answerer: Any) -> dict[str, float]:
        own = figures(answered(answerer, suite))
        theirs = lmms_eval.evaluate(answerer, [TASK], suite=suite)[TASK]
        assert theirs == pytest.approx({"exact": own.exact, "starts": own.starts, "words": own.words})
        return theirs

    before = both(backbone)
    assert before["starts"] >= 0.5
    editor = mmke.load_editor("ft-llm", backbone="tiny-llava", steps=20, learning_rate=0.05)
    with editor.open(backbone, mmke.store()) as session:
        session.apply([mmke.Edit(mmke.Query("Who rules?"), "nobody")])
        assert both(session) != before
        assert session.answer  # the evaluation has not taken it apart
    assert both(backbone) == before
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), states[2])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_task_that_there_is_not_is_told(library: None, tmp_path: Path) -> None:
    suite = draw(Wanted(("held-out",), limit=1)).suites[0]
    with pytest.raises(UserError, match="has no task 'mmke_held_ou'; did you mean 'mmke_held_out'"):
        lmms_eval.evaluate(mmke.load_backbone("tiny-llava"), ["mmke_held_ou"], suite=suite)


def test_the_task_is_made_of_the_questions(tmp_path: Path) -> None:
    suite = draw(Wanted(("held-out",), limit=2)).suites[0]
    write_task(tmp_path, suite, most=16)
    plain = (tmp_path / f"{TASK}.yaml").read_text().replace("!function ", "")
    task = yaml.safe_load(plain)
    assert task["task"] == TASK
    assert task["generation_kwargs"]["max_new_tokens"] == 16
    lines = Path(task["dataset_kwargs"]["data_files"]["test"]).read_text().splitlines()
    for question, doc in zip(suite.questions, map(json.loads, lines), strict=True):
        assert doc_to_text(doc) == question.query.text
        assert question.query.image is not None
        with Image.open(question.query.image.path) as picture:
            assert doc_to_visual(doc)[0].tobytes() == picture.tobytes()
        assert process_results(doc, [f"The {question.answer}."]) == {
            "exact": 1.0,
            "starts": 1.0,
            "words": 1.0 + len(question.answer.split()),
        }


class Parrot:
    """Says what it is asked, with the size of the picture."""

    def answer(self, probes: list[Probe], ask: Asks) -> list[Answer]:
        return [self._said(probe) for probe in probes]

    def _said(self, probe: Probe) -> Answer:
        size = ""
        if probe.query.image is not None:
            with Image.open(probe.query.image.path) as picture:
                size = f" {picture.size} {picture.mode}"
        return Answer(probe.query.text + size, (1, 2), (1, 2), -0.5, np.zeros((0, 0), dtype=np.int64), finished=True)


@pytest.fixture
def asking(tmp_path: Path) -> lmms_eval._Asking:
    return lmms_eval._Asking(Parrot(), tmp_path)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "a b\nc (3, 2) RGB"),
        ({"until": ["\n", "zzz"]}, "a b"),
        ({"until": " "}, "a"),
        ({"until": None}, "a b\nc (3, 2) RGB"),
    ],
)
def test_what_ends_an_answer_ends_it(
    asking: lmms_eval._Asking, wanted: dict[str, Any], said: str, tmp_path: Path
) -> None:
    assert asking.write("a b\nc", [Image.new("CMYK", (3, 2))], wanted) == said
    assert list(tmp_path.iterdir()) == []


def test_a_continuation_is_weighed_in_nats(asking: lmms_eval._Asking) -> None:
    assert asking.weigh("a", [], " yes") == (-1.0, True)


@pytest.mark.parametrize("visuals", [[Image.new("RGB", (1, 1))] * 2, ["film.mp4"]])
def test_several_pictures_and_films_are_refused(asking: lmms_eval._Asking, visuals: list[Any]) -> None:
    with pytest.raises(UserError, match="one picture at a time"):
        asking.write("a", visuals, {})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tasks", "pope"], "--tasks is for another tool; add --with lmms-eval"),
        (["--include", "."], "--include is for another tool; add --with lmms-eval"),
        (["--with", "lmms-eval", "--suite", "pope"], "name its tasks, with --tasks"),
        (["--with", "lmms-eval", "--include", "no-folder"], "there is no such folder"),
        (["--with", "lmms-eval"], "pip install 'mmke[lmms-eval]'"),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    monkeypatch.setitem(sys.modules, "lmms_eval", None)
    assert cli.main(["abilities", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line

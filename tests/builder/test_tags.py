"""What an unedited model knows of records: asked once, kept, and exported as tags."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from kit import make_project

from mmke.build.export.export import export
from mmke.build.project import open_project
from mmke.build.records import records
from mmke.build.tags.tag import tag
from mmke.errors import CannotAskError
from mmke.types import Answer, Ask, Probe


class Progress:
    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.steps = 0

    def stage(self, name: str, total: int, done: int = 0) -> None:
        self.begun.append((total, done))

    def step(self) -> None:
        self.steps += 1


class Knows:
    """A model that writes what it is told to write, whatever is asked about one name or picture."""

    name, revision = "knows", "1"

    def __init__(self, written: str, *, refuses: str | None = None) -> None:
        self.written, self.refuses = written, refuses
        self.asked: list[Probe] = []

    def answer(self, probes: Sequence[Probe], ask: Ask) -> list[Answer]:
        assert ask.decode == "generate"
        self.asked += probes
        if self.refuses is not None and any(self.refuses in probe.query.text for probe in probes):
            raise CannotAskError("too long")
        nothing = np.zeros((0, 0), dtype=np.int64)
        return [
            Answer(
                text=self.written,
                token_ids=(),
                target_ids=(),
                target_logprob=float("nan"),
                top_ids=nothing,
            )
            for _ in probes
        ]


# The record Aland, with Boria's picture. In text the questions ask for Aland's capital (Alva; edited: Cordo) and
# foundation (1901; edited: 1833), about the picture for Boria's (Borsk, 1922); portability for a river (the Corer).
@pytest.mark.parametrize(
    ("written", "refuses", "known", "blind"),
    [
        ("Alva or Borsk, 1901 or 1922.", None, "known", "not guessed"),
        ("It is Alva.", None, "partly", "not guessed"),
        ("No idea.", None, "unknown", "not guessed"),
        ("Through it flows the Corer.", None, "unknown", "guessed"),
        ("It is Borsk, since 1922.", None, "partly", "not guessed"),
        ("Alva or Borsk.", "founded", "known", "not guessed"),
        ("It is Alva.", "", "not asked", "not asked"),
    ],
)
def test_a_record_is_known_by_its_old_answers_and_guessed_by_its_new_ones(
    tmp_path: Path, written: str, refuses: str | None, known: str, blind: str
) -> None:
    with open_project(make_project(tmp_path, count=1)) as project:
        model = Knows(written, refuses=refuses)
        outcome = tag(project, records(project), model, Progress())
        assert records(project)[0].tags == {"known": known, "blind": blind}
    assert outcome.notes == (f"blind: {blind} (1), known: {known} (1)",)
    pictures = [probe.query.image for probe in model.asked]
    assert [picture is None for picture in pictures[:4]] == [True, True, False, False]
    assert pictures[4:] == [None] * 3


def test_a_user_s_records_have_no_old_answer(tmp_path: Path) -> None:
    with open_project(make_project(tmp_path, "user", count=1)) as project:
        tag(project, records(project), Knows("no"), Progress())
        assert records(project)[0].tags == {"blind": "not guessed"}


def test_a_second_time_asks_only_what_is_missing_or_has_changed(tmp_path: Path) -> None:
    with open_project(make_project(tmp_path, count=3)) as project:
        made = records(project)
        first = Progress()
        tag(project, made[:2], Knows("no"), first)
        assert (first.begun, first.steps) == ([(2, 0)], 2)
        later, model = Progress(), Knows("no")
        assert tag(project, made, model, later).made == 1
        assert (later.begun, later.steps) == ([(3, 2)], 1)
        assert {probe.query.text for probe in model.asked} <= set(made[2].texts.values())
        newer = Knows("no")
        newer.revision = "2"
        assert tag(project, made, newer, Progress()).made == 3


def test_tags_of_other_texts_count_no_more(tmp_path: Path) -> None:
    with open_project(make_project(tmp_path, count=1)) as project:
        tag(project, records(project), Knows("no"), Progress())
        record = records(project)[0]
        assert record.tags
        assert record.corrected({"target": "Another description."}).tags == record.tags
        assert record.corrected({"port.answer": "the Rhine"}).tags == {}
        edit = project.edits.get(record.id)
        assert edit is not None
        anew = edit.content.model_copy(update={"texts": edit.content.texts.model_copy(update={"prompt": "New?"})})
        project.edits.put(record.id, anew, sources=(), by={}, inputs="new")
        assert records(project)[0].tags == {}


def test_tags_are_exported_and_counted_in_the_card(tmp_path: Path) -> None:
    with open_project(make_project(tmp_path / "project")) as project:
        tag(project, records(project), Knows("It is Alva."), Progress())
        export(project, tmp_path / "out", unverified=True, names=False)
    raws = json.loads((tmp_path / "out" / "data_json" / "entity_eval.json").read_text())
    assert {raw["tags"]["blind"] for raw in raws} <= {"guessed", "not guessed"}
    assert (
        "tags: blind: guessed (1), blind: not guessed (5), known: partly (2), known: unknown (4)."
        in (tmp_path / "out" / "README.md").read_text()
    )


def test_a_backbone_of_mmke_can_be_asked(tmp_path: Path) -> None:
    from mmke.running.loading import load_backbone

    backbone = load_backbone("tiny-llava", weights="random")
    with open_project(make_project(tmp_path, count=1)) as project:
        tag(project, records(project), backbone, Progress())
        assert records(project)[0].tags == {"known": "unknown", "blind": "not guessed"}
        entry = project.tags.get("entity/flag/aland")
    assert entry is not None
    assert entry.by == {"backbone": "tiny-llava", "revision": backbone.revision}

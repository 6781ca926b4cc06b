"""Runs that ask hard locality: beside the published questions or alone, and never mixed into a folder without."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from mmke.benchmarks.probes import hard
from mmke.benchmarks.probes.partners import partner_ids
from mmke.cli import main
from mmke.editing.sentence_encoder import SentenceEncoder
from mmke.errors import UserError
from mmke.results.finished import read_cases, read_finished
from mmke.running.asking import SILENT
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.rescoring import rescore
from mmke.running.run import run
from mmke.types import ScoreRow


def request(out: Path, probes: str, **changes: object) -> Request:
    plain = {"limit": 2, "changes": {"ft-llm": {"steps": 2}}, "probes": probes, "out": out} | changes
    return Request("tiny-llava", ("ft-llm",), ("mini-user",), **plain)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def embed() -> Iterator[None]:
    """Put vectors that are made in no time in the place of the sentence encoder's."""

    def quick(_: SentenceEncoder, texts: Sequence[str]) -> torch.Tensor:
        seeds = (int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts)
        drawn = [torch.randn(8, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.nn.functional.normalize(torch.stack(drawn), dim=-1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SentenceEncoder, "embed", quick)
        yield


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lend results of `all`."""
    out = tmp_path_factory.mktemp("all")
    run(plan(request(out, "all")))
    return out


def rows(out: Path, editor: str = "ft-llm") -> list[ScoreRow]:
    (folder,) = out.rglob(editor)
    return [row for record in read_finished(folder, answers=True) for row in record.rows]


def test_the_unedited_model_agrees_with_itself_and_leaks_nothing(out: Path) -> None:
    floor = [row for row in rows(out, "none") if row.kind in {kind.name for kind in hard.KINDS}]
    values = {row.metric: row.value for row in floor if row.value is not None}
    assert {values[kind.name] for kind in hard.KINDS if kind.name in values} == {1.0}
    assert {value for name, value in values.items() if name.endswith("_leak")} == {0.0}
    edited = {(row.case_id, row.probe, row.metric): row for row in rows(out)}
    devqa = [row for row in floor if row.metric.endswith("_devqa")]
    assert devqa
    assert all(edited[row.case_id, row.probe, row.metric].floor == row.value for row in devqa)


def test_hard_probes_change_no_row_of_the_published_ones(out: Path, tmp_path: Path) -> None:
    run(plan(request(tmp_path, "published")))
    published = rows(tmp_path)
    among = [row for row in rows(out) if row.kind not in {kind.name for kind in hard.KINDS}]
    # All but the last bits: the hard probes are asked in the same batch.
    assert [_told(row) for row in among] == [_told(row) for row in published]
    assert [row.value for row in among] == pytest.approx([row.value for row in published], abs=1e-5)


def _told(row: ScoreRow) -> tuple[object, ...]:
    return (row.case_id, row.probe, row.metric, row.n_scored, row.reason, row.after and row.after.ids)


def test_hard_probes_can_be_asked_alone_and_answers_are_the_same(out: Path, tmp_path: Path) -> None:
    run(plan(request(tmp_path, "hard")))
    alone = rows(tmp_path)
    assert {row.kind for row in alone} <= {kind.name for kind in hard.KINDS}
    whole = {(row.case_id, row.kind, row.metric, row.after and row.after.text): row.value for row in rows(out)}
    assert all(
        whole[row.case_id, row.kind, row.metric, row.after and row.after.text] == row.value
        for row in alone
        if row.value is not None
    )


def test_a_row_that_compares_with_what_the_unedited_model_writes_keeps_that_as_its_target(out: Path) -> None:
    compared = [row for row in rows(out) if row.metric == "ri_generic" and row.before is not None]
    assert compared
    for row in compared:
        assert row.before is not None
        assert row.after is not None
        assert row.before.target_ids == row.after.target_ids != ()
        assert row.after.ask is not None
        assert row.after.ask.target == "unedited"
    assert {row.reason for row in rows(out) if row.metric == "ri_generic"} <= {None, SILENT}


@pytest.mark.parametrize("probes", ["published", "hard"])
def test_other_probes_are_refused_in_one_line(out: Path, probes: str) -> None:
    with pytest.raises(UserError) as caught:
        run(plan(request(out, probes)))
    told = [line for line in str(caught.value).splitlines() if line.startswith("  ")]
    assert told == [f"  probes: the folder has 'all', this run '{probes}'; choose with --probes"]


def test_a_larger_limit_keeps_the_partners(out: Path) -> None:
    (cell, *_) = plan(request(out, "all", limit=0)).cells
    kept = read_cases(next(out.rglob("ft-llm")))
    assert len(kept) == 2
    whole = partner_ids(cell.split.cases)
    assert partner_ids([each.case for each in kept.values()]).items() <= whole.items()


def test_partners_of_the_training_records(tmp_path: Path) -> None:
    evaluation, training = (plan(request(tmp_path, "hard", partners=of)).cells[0] for of in ("eval", "train"))
    assert partner_ids(evaluation.split.cases) != partner_ids(training.split.cases)
    assert evaluation.data_revision != training.data_revision


@pytest.mark.parametrize(("name", "value"), [("probes", "everything"), ("partners", "other")])
def test_an_unknown_choice_is_told(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(UserError, match=rf"--{name} {value}: give one of"):
        plan(request(tmp_path, **{"probes": "hard", name: value}))


@pytest.mark.slow
def test_a_folder_from_before_there_were_other_probes_is_continued(tmp_path: Path) -> None:
    folders = run(plan(request(tmp_path, "published", limit=1)))
    for folder in folders:
        file = folder / "run.json"
        plain = json.loads(file.read_text())
        assert plain.pop("probes") == "published"
        assert plain.pop("partners") is None
        file.write_text(json.dumps(plain))
    run(plan(request(tmp_path, "published")))
    assert len({row.case_id for row in rows(tmp_path)}) == 2


def test_kept_answers_score_to_the_same_rows(out: Path) -> None:
    before = {file: file.read_bytes() for file in out.rglob("rows.jsonl")}
    told = [each for each in rescore(out) if "none" not in each.folder.name]
    assert {"agree", "leak", "devqa"} <= set(told[0].metrics)
    assert {file: file.read_bytes() for file in out.rglob("rows.jsonl")} == before


def test_metrics_that_score_none_of_the_questions_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="accuracy scores no question of mini-user, which are of hard locality"):
        plan(request(tmp_path, "hard", metrics=("accuracy",)))


def test_tables_of_scope_and_composition_are_printed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(out), "--scope"]) == 0
    assert "scope of the edits that took" in capsys.readouterr().out
    assert main(["table", str(out), "--scope", "--composition"]) == 2
    assert main(["table", str(out), "--composition"]) == 2
    assert "no results of divided records" in capsys.readouterr().err

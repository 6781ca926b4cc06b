"""`mmke run --edit`: rows of every record, asked of the model with a saved edit in force."""

from pathlib import Path

import pytest

import mmke
from mmke import cli
from mmke.results.finished import read_finished
from mmke.results.run_json import read_run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_data: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    words = ["--backbone", "tiny-llava", "--set", "steps=3", "--set", "learning_rate=0.01"]
    given = ["--edits", "mmke-user", "--data", str(small_data), "--limit", "2"]
    assert cli.main(["edit", *words, *given, "--out", "mine", "--embed"]) == 0
    return tmp_path


@pytest.mark.slow
def test_rows_say_what_the_model_with_the_edit_answers(place: Path, small_data: Path) -> None:
    words = ["run", "--edit", "mine", "--benchmark", "mmke-user", "--data", str(small_data), "--hop", "0"]
    assert cli.main(words) == 0
    (run,) = [file.parent for file in place.glob("results-mine/**/ft-llm/run.json")]
    stated = read_run(run)
    assert stated is not None
    assert stated["schedule"] == "edit-mine"
    assert len(stated["settings"]["edit"]) == 64
    finished = read_finished(run, answers=True)
    assert len(finished) == 4
    benchmark = mmke.open_benchmark("mmke-user", data=small_data)
    cases = {case.id: case for case in benchmark.load("eval", hop=0, switches=mmke.STRICT).cases}
    backbone = mmke.load_backbone("tiny-llava")
    with mmke.load_edit("mine", backbone) as session:
        for record in finished:
            rows = [row for row in record.rows if row.kind == "i_rel" and row.after is not None]
            assert all(row.edits_applied == 2 for row in record.rows)
            probes = [cases[row.case_id].probes[row.probe or 0] for row in rows]
            said = session.answer(probes, mmke.Ask())
            assert [row.after.ids for row in rows if row.after] == [answer.token_ids for answer in said]
    assert cli.main(words) == 0  # continues, and has nothing to do


@pytest.mark.slow
def test_what_does_not_go_with_an_edit_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (["--editor", "ike"], "--editor does not go with --edit"),
        (["--set", "ft-llm.steps=1"], "--set does not go with --edit"),
        (["--protocol", "paper"], "mine was made under strict"),
        (["--editor", "none", "--dry"], "--editor does not go with --edit"),
    ):
        capsys.readouterr()
        assert cli.main(["run", "--edit", "mine", "--benchmark", "mini-user", *words]) == 2
        assert told in capsys.readouterr().err
    assert place.is_dir()

"""One writer, one set of settings, finished records for good."""

import errno
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmke.benchmarks.probes.published import I_REL, T_REL
from mmke.errors import UserError
from mmke.metrics.accuracy import Accuracy
from mmke.results import folder as folder_module
from mmke.results.finished import ROWS, read_finished
from mmke.results.folder import RunFolder, check_continues, open_run
from mmke.results.locks import LOCK
from mmke.results.manifest import RunFacts, RunSettings
from mmke.results.places import run_path
from mmke.results.run_json import read_run
from mmke.results.timings import Timing
from mmke.types import PAPER, Ask, EditCase, ImageRef, ScoreRow

V1 = Path(__file__).with_name("v1")
Record = Callable[[str], list[ScoreRow]]
Case = Callable[[str], EditCase]
Append = Callable[[RunFolder, str], None]


@pytest.fixture
def append(case: Case, record: Record, timing: Timing) -> Append:
    """Write the record of a case."""
    return lambda folder, case_id: folder.append(case(case_id), record(case_id), timing)


def test_the_path_says_what_was_run(tmp_path: Path, settings: RunSettings) -> None:
    assert run_path(tmp_path, settings) == tmp_path / "tiny-llava/mini-entity/hop1/strict/seed0/ft-llm"


def test_names_with_slashes_or_dots_stay_below_the_folder(tmp_path: Path, settings: RunSettings) -> None:
    odd = replace(settings, backbone="hf:org/model", benchmark="../../data/own.json", editor="..")
    path = run_path(tmp_path, odd)
    shown = ("hf_org_model-3d587ff3", "__.._data_own.json-2ee84786", "hop1", "strict", "seed0", "_")
    assert path.parts[len(tmp_path.parts) :] == shown


def test_models_of_the_hub_have_folders_of_their_own(settings: RunSettings, tmp_path: Path) -> None:
    names = ["hf:org/model", "hf:org_model", "hf:/" + "deep/" * 60 + "model", "hf:/" + "deep/" * 61 + "model"]
    folders = [run_path(tmp_path, replace(settings, backbone=name)).relative_to(tmp_path).parts for name in names]
    assert folders[0][0].startswith("hf_org_model-")
    assert len({parts[0] for parts in folders}) == len(names)
    assert all(len(parts) == 6 and len(parts[0]) < 120 for parts in folders)


def test_a_second_writer_is_refused_by_name_of_the_folder(
    tmp_path: Path, settings: RunSettings, facts: RunFacts
) -> None:
    with (
        open_run(tmp_path, settings, facts),
        pytest.raises(UserError, match=f"{run_path(tmp_path, settings)} is being written by another program"),
        open_run(tmp_path, settings, facts),
    ):
        pass


def test_a_second_process_is_refused_too(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    lock = run_path(tmp_path, settings) / LOCK
    program = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    )
    lock.parent.mkdir(parents=True)
    lock.touch()
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UserError, match="another program"), open_run(tmp_path, settings, facts):
            pass
        other.kill()
    with open_run(tmp_path, settings, facts) as free:
        assert free.done == set()


def test_the_folder_is_free_after_an_exception(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    with pytest.raises(KeyError), open_run(tmp_path, settings, facts):
        raise KeyError
    with open_run(tmp_path, settings, facts) as folder:
        assert folder.path == run_path(tmp_path, settings)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"dtype": "float16"}, 'dtype: the folder has "float32", this run "float16"'),
        ({"device_type": "cuda"}, 'device_type: the folder has "cpu", this run "cuda"'),
        ({"generate": True}, "generate: the folder has false, this run true"),
        ({"data_revision": "e"}, "data_revision: the folder has"),
        ({"weights_revision": "e"}, "weights_revision: the folder has"),
        ({"device": "another"}, 'device: the folder has "a processor", this run "another"'),
        ({"prompt_revision": "p"}, 'prompt_revision: the folder has null, this run "p"'),
        ({"metrics": ()}, "metrics: the folder has accuracy, this run none; choose them with --metric"),
        (
            {"metrics": (Accuracy(Ask(), parameters={"k": 2}),)},
            "metrics.accuracy.parameters.k: the folder has nothing, this run 2",
        ),
        (
            {"settings": {"steps": 4, "lr": 0.001, "parts": ["language"]}},
            "settings.steps: the folder has 3, this run 4",
        ),
        ({"settings": {"steps": 3}}, "settings.lr: the folder has 0.001, this run nothing"),
    ],
)
def test_other_settings_are_refused_with_the_difference(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, change: dict[str, Any], told: str
) -> None:
    with open_run(tmp_path, settings, facts):
        pass
    with pytest.raises(UserError) as error, open_run(tmp_path, replace(settings, **change), facts):
        pass
    assert told in str(error.value)
    assert "choose another --out, or delete the folder" in str(error.value)


def test_changed_data_is_told_by_record_and_picture(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, append: Append, case: Case
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        for case_id in "ab":
            append(folder, case_id)
    now = replace(settings, data_revision="e")
    query = case("a").edits[0].query
    picture = replace(query, image=ImageRef(Path("pictures/it.png"), "6" * 64))
    other_picture = replace(case("a"), probes=(case("a").probes[0], replace(case("a").probes[1], query=picture)))
    other_text = replace(case("b"), edits=())
    for cases, told in (
        ((other_picture, case("b")), "changed data: record a: the picture pictures/it.png\n"),
        ((case("a"), other_text), "changed data: record b: its texts, or which pictures it has\n"),
        ((case("a"), case("b"), case("c")), "changed data: none of the records that are finished"),
    ):
        with pytest.raises(UserError) as error:
            check_continues(tmp_path, now, cases)
        assert told in str(error.value)


def test_every_difference_is_told_at_once(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    with open_run(tmp_path, settings, facts):
        pass
    other = replace(settings, dtype="float16", switches=replace(settings.switches, reference="previous edit"))
    with pytest.raises(UserError) as error, open_run(tmp_path, other, facts):
        pass
    assert 'dtype: the folder has "float32", this run "float16"' in str(error.value)
    assert 'switches.reference: the folder has "base", this run "previous edit"' in str(error.value)
    assert len(str(error.value).splitlines()) == 4


def test_another_hop_protocol_editor_or_seed_is_another_folder(tmp_path: Path, settings: RunSettings) -> None:
    others = [{"hop": 2}, {"switches": PAPER}, {"editor": "ike"}, {"seed": 1}]
    assert len({run_path(tmp_path, replace(settings, **other)) for other in [{}, *others]}) == 5


def test_a_larger_limit_continues_the_run(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, append: Append
) -> None:
    with open_run(tmp_path, settings, replace(facts, records_used=1)) as folder:
        append(folder, "a")
    with open_run(tmp_path, settings, replace(facts, records_used=2)) as folder:
        assert {key.case_id for key in folder.done} == {"a"}
        append(folder, "b")
        assert {key.case_id for key in folder.done} == {"a", "b"}
    assert [r.case_id for r in read_finished(run_path(tmp_path, settings))] == ["a", "b"]
    run = json.loads((run_path(tmp_path, settings) / "run.json").read_bytes())
    assert run["records"]["used"] == 2
    assert len(run["history"]) == 2


def test_a_record_is_on_disk_when_append_returns(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, append: Append
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        append(folder, "a")
        assert [r.case_id for r in read_finished(folder.path)] == ["a"]


def test_what_cannot_be_a_record_is_refused_before_anything_is_written(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, record: Record, timing: Timing, case: Case
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        folder.append(case("a"), record("a"), timing)
        before = (folder.path / ROWS).read_bytes()
        for case_id, rows, message in (
            ("a", record("a"), "is finished"),
            ("b", [], "has no rows"),
            ("b", record("c"), r"rows of \['c'\]"),
            ("b", [*record("b"), record("b")[0]], "two rows each"),
        ):
            with pytest.raises(ValueError, match=message):
                folder.append(case(case_id), rows, timing)
        assert (folder.path / ROWS).read_bytes() == before
        folder.append(case("b"), record("b"), timing)


def test_after_a_failed_write_no_record_follows_half_a_record(
    tmp_path: Path,
    settings: RunSettings,
    facts: RunFacts,
    append: Append,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        append(folder, "a")
        with monkeypatch.context() as patch:
            patch.setattr(folder_module, "put", _half_then_full)
            with pytest.raises(OSError, match="disk") as caught:
                append(folder, "b")
            assert caught.value.filename == str(folder.path)
        with pytest.raises(ValueError, match="closed"):
            append(folder, "c")
    with open_run(tmp_path, settings, facts) as folder:
        assert {key.case_id for key in folder.done} == {"a"}


def _half_then_full(file: Any, content: bytes) -> None:
    file.write(content[: len(content) // 2])
    file.flush()
    raise OSError(errno.ENOSPC, "disk full")


def test_run_json_holds_settings_records_and_history(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        run = json.loads((folder.path / "run.json").read_bytes())
    assert (run["backbone"], run["hop"], run["protocol"], run["seed"]) == ("tiny-llava", 1, "strict", 0)
    assert run["settings"] == {"steps": 3, "lr": 0.001, "parts": ["language"]}
    assert run["switches"] == settings.switches.as_dict()
    assert run["records"] == {
        "used": 3,
        "available": None,
        "dropped": [{"record": 7, "reason": "alt is empty"}],
        "trained_on": 0,
        "chosen_by": 0,
    }
    assert run["history"][0]["command"] == ["mmke", "run", "--seed", "0"]
    assert run["history"][0]["versions"].keys() == {"python", "mmke", "torch", "transformers"}
    assert not list(folder.path.glob("*.tmp"))


def test_continuing_under_another_version_is_told(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, caplog: pytest.LogCaptureFixture
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        pass
    file = folder.path / "run.json"
    run = json.loads(file.read_bytes())
    run["history"][0]["versions"]["torch"] = "1.0.0"
    file.write_text(json.dumps(run))
    with caplog.at_level(logging.WARNING), open_run(tmp_path, settings, facts):
        pass
    assert 'versions.torch: the folder has "1.0.0"' in caplog.text


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is broken"), ("[]", "not the record"), ("{}", "not the record")]
)
def test_a_broken_run_json_is_refused(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, content: str, message: str
) -> None:
    file = run_path(tmp_path, settings) / "run.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(UserError, match=message), open_run(tmp_path, settings, facts):
        pass


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"editor": 3}, "editor: Input should be a valid string, not 3"),
        ({"hop": "1"}, "hop: Input should be a valid integer, not '1'"),
        ({"records": []}, "records: "),
        ({"records": {}}, r"records\.used: Field required"),
        ({"history": [None]}, r"history\.0: "),
        ({"history": [{}]}, r"history\.0\.versions: Field required"),
        ({"schema": 3}, "schema: 3 is of a later version of mmke, this one reads up to 2"),
    ],
)
def test_a_run_json_of_another_version_is_refused_by_key(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, change: dict[str, object], told: str
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        file = folder.path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=f"not the record of a run that this version reads: {told}"):
        read_run(file.parent)


def test_fields_of_a_later_version_are_kept_and_keep_no_run_from_going_on(
    tmp_path: Path, settings: RunSettings, facts: RunFacts
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        file = folder.path / "run.json"
    plain = json.loads(file.read_text())
    plain |= {"colour": ["red"]}
    plain["kinds"]["t_rel"]["icon"] = "x"
    file.write_text(json.dumps(plain))
    with open_run(tmp_path, settings, replace(facts, kinds=())):
        pass
    again = json.loads(file.read_text())
    assert again["colour"] == ["red"]
    assert again["kinds"]["t_rel"] == {
        "name": "t_rel",
        "label": "T-Rel",
        "role": "relation",
        "headline": True,
        "icon": "x",
    }
    assert len(again["history"]) == 2


def test_a_larger_limit_adds_its_kinds_of_question(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    for kinds in ((T_REL,), (I_REL,)):
        with open_run(tmp_path, settings, replace(facts, kinds=kinds)) as folder:
            pass
    run = read_run(folder.path)
    assert run is not None
    assert [*run["kinds"]] == ["t_rel", "i_rel"]
    assert run["columns"]["i_rel"] == {
        "metric": "accuracy",
        "kind": "i_rel",
        "unit": "per cent",
        "higher_is_better": True,
    }


def test_a_run_of_the_first_format_is_not_continued(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    shutil.copytree(V1, tmp_path, dirs_exist_ok=True)
    here = replace(settings, backbone="smol-llava")
    with pytest.raises(UserError, match=r"strict/ft-llm holds this run in the results format of an earlier version"):
        check_continues(tmp_path, here)
    with open_run(tmp_path, replace(here, seed=1), facts) as other:
        assert other.path.is_dir()


def test_a_folder_deleted_while_it_is_written_is_told(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, append: Append
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        append(folder, "a")
        shutil.rmtree(folder.path)
        with pytest.raises(UserError, match=f"{folder.path} was deleted or moved while the run was writing to it"):
            append(folder, "b")


def test_a_folder_moved_while_it_is_written_is_told(
    tmp_path: Path, settings: RunSettings, facts: RunFacts, append: Append
) -> None:
    with open_run(tmp_path, settings, facts) as folder:
        folder.path.rename(tmp_path / "elsewhere")
        with pytest.raises(UserError, match="was deleted or moved"):
            append(folder, "a")


def test_rows_without_run_json_are_refused(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    path = run_path(tmp_path, settings)
    path.mkdir(parents=True)
    (path / ROWS).write_text("")
    with pytest.raises(UserError, match=r"has rows\.jsonl but no run\.json"), open_run(tmp_path, settings, facts):
        pass


def test_an_out_that_is_a_file_is_refused(tmp_path: Path, settings: RunSettings, facts: RunFacts) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"), open_run(tmp_path / "file", settings, facts):
        pass


def test_a_setting_that_json_cannot_hold_is_refused(settings: RunSettings) -> None:
    with pytest.raises(TypeError, match="cannot stand in"):
        replace(settings, settings={"layer": object()}).as_dict()


def test_paths_in_settings_are_written_as_text(settings: RunSettings) -> None:
    assert replace(settings, settings={"file": Path("a/b")}).as_dict()["settings"] == {"file": "a/b"}

"""Runs: the same bytes however they are interrupted, the published reference, and mistakes that cost one line."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from grid import first_quick
from mmke.errors import UserError
from mmke.results.finished import read_finished
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
from mmke.types import StoredAnswer

QUICK = {"ft-llm": {"steps": 3}, "ft-alignment": {"steps": 3}, "ike-random": {"demonstrations": 2}}


def make_request(data: Path, out: Path) -> Request:
    return Request(
        backbone="tiny-llava", editors=tuple(QUICK), benchmarks=("mmke-entity",), changes=QUICK, data=data, out=out
    )


@pytest.fixture
def request_(small_data: Path, tmp_path: Path) -> Request:
    return make_request(small_data, tmp_path / "results")


@pytest.fixture(scope="module")
def finished(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the results of a whole run under a protocol, to be read and not written: it is made once."""

    @cache
    def run_once(protocol: str) -> Path:
        out = tmp_path_factory.mktemp(f"finished-{protocol}")
        run(plan(replace(make_request(small_data, out), protocol=protocol)))
        return out

    return run_once


def files(out: Path, name: str = "rows.jsonl") -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob(name))}


def rows(out: Path, editor: str) -> list[dict[str, Any]]:
    (file,) = out.rglob(f"{editor}/rows.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def mean(out: Path, editor: str, metric: str) -> float:
    values = [row["value"] for row in rows(out, editor) if row["metric"] == metric]
    return sum(values) / len(values)


def test_two_runs_write_the_same_bytes(request_: Request, finished: Callable[[str], Path]) -> None:
    run(plan(request_))
    assert files(request_.out) == files(finished("strict"))
    assert len(files(request_.out)) == 4


@pytest.mark.parametrize("protocol", first_quick(["strict", "paper"]))
@pytest.mark.slow
def test_a_larger_limit_continues_with_the_same_bytes(
    request_: Request, finished: Callable[[str], Path], protocol: str
) -> None:
    for limit in (1, 3, 0):
        run(plan(replace(request_, protocol=protocol, limit=limit)))
    assert files(request_.out) == files(finished(protocol))


def test_run_json_says_in_what_an_editor_differs_from_the_published_code(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmke.running.run.deviations", lambda *about: (f"{' '.join(about)} rounds up",))
    (_, folder) = run(plan(replace(request_, protocol="paper", editors=("ike-random",), limit=1, changes={})))
    history = json.loads((folder / "run.json").read_text())["history"]
    assert history[-1]["deviations"] == ["ike-random tiny-llava paper rounds up"]


def test_a_finished_run_edits_nothing_again(request_: Request, finished: Callable[[str], Path]) -> None:
    shutil.copytree(finished("strict"), request_.out)
    before = files(request_.out, "timings.jsonl")
    run(plan(request_))
    assert files(request_.out, "timings.jsonl") == before


@pytest.mark.slow
def test_killed_runs_continue_to_the_same_bytes(request_: Request, finished: Callable[[str], Path]) -> None:
    command = [sys.executable, "-c", KILLED, str(request_.data), str(request_.out)]
    for _ in range(2):
        kill_in_the_middle(command, request_.out)
    run(plan(request_))
    assert files(request_.out) == files(finished("strict"))


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from mmke.running.planning import plan
from mmke.running.request import Request
from mmke.running.run import run
changes = {"ft-llm": {"steps": 3}, "ft-alignment": {"steps": 3}, "ike-random": {"demonstrations": 2}}
run(plan(Request("tiny-llava", tuple(changes), ("mmke-entity",), changes=changes,
                 data=Path(sys.argv[1]), out=Path(sys.argv[2]))))
"""


def kill_in_the_middle(command: list[str], out: Path) -> None:
    """Start the run and kill it as soon as it has written something more."""
    size = sum(map(len, files(out).values()))
    with subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}) as process:
        while process.poll() is None and sum(map(len, files(out).values())) == size:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)


def test_the_unedited_model_is_the_floor_of_every_row(finished: Callable[[str], Path]) -> None:
    floor = {(r["case_id"], r["probe"], r["metric"]): r["value"] for r in rows(finished("strict"), "none")}
    for row in rows(finished("strict"), "ft-llm"):
        if row["metric"].startswith(("t_loc", "i_loc")):
            assert row["floor"] is None
        else:
            assert row["floor"] == floor[row["case_id"], row["probe"], row["metric"]]


def test_the_null_editor_keeps_everything(finished: Callable[[str], Path]) -> None:
    out = finished("strict")
    assert mean(out, "none", "t_loc") == mean(out, "none", "i_loc") == 1.0
    assert mean(out, "none", "t_loc_kl") == 0.0


def test_on_paper_locality_compares_with_the_previous_edit(request_: Request) -> None:
    run(plan(replace(request_, protocol="paper", editors=("ft-llm",), changes={"ft-llm": {"steps": 20}})))
    (file,) = request_.out.rglob("ft-llm/rows.jsonl")
    records = sorted(read_finished(file.parent, answers=True), key=lambda record: record.case_id)
    first, second = ({row.metric: (text(row.before), text(row.after)) for row in each.rows} for each in records[:2])
    # All records ask the same text question: what the second is compared with is what the first edit made of it.
    assert second["t_loc"][0] == first["t_loc"][1]
    assert second["t_loc_base"][0] == first["t_loc_base"][0] == first["t_loc"][0]
    assert second["t_loc"][0] != second["t_loc_base"][0]


def text(said: StoredAnswer | None) -> tuple[str, tuple[int, ...], float | None]:
    assert said is not None
    return said.text, said.ids, said.target_logprob


@pytest.mark.parametrize("protocol", first_quick(["strict", "paper"]))
def test_ft_alignment_never_touches_text(request_: Request, protocol: str) -> None:
    run(plan(replace(request_, protocol=protocol, editors=("ft-alignment",), changes={})))
    assert mean(request_.out, "ft-alignment", "t_loc") == 1.0
    assert mean(request_.out, "ft-alignment", "i_loc") < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_only_the_published_locality_depends_on_the_order(
    request_: Request, small_data: Path, tmp_path: Path, protocol: str
) -> None:
    records = json.loads((small_data / "data_json" / "entity_eval.json").read_text())
    measured = []
    for name, ordered in (("straight", records), ("turned", records[::-1])):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(ordered))
        own = replace(request_, benchmarks=(str(file),), data=small_data / "data_image", out=tmp_path / name)
        changes = {"ft-llm": {"steps": 30}}
        run(plan(replace(own, editors=("ft-llm",), protocol=protocol, changes=changes)))
        by_record = [
            [row["value"] for row in rows(tmp_path / name, "ft-llm") if row["metric"] == metric]
            for metric in ("t_loc", "i_loc")
        ]
        measured.append(by_record)
    straight, turned = measured
    assert any(value < 1 for value in straight[0] + straight[1])
    assert (straight == [values[::-1] for values in turned]) == (protocol == "strict")


@pytest.mark.slow
def test_published_locality_runs_over_all_positions_but_behind_a_prompt(request_: Request) -> None:
    changes = {"ft-llm": {"steps": 1}, "ike-random": {"demonstrations": 1}}
    run(plan(replace(request_, protocol="paper", editors=tuple(changes), changes=changes, limit=1)))
    scored = {
        editor: next(row["n_scored"] for row in rows(request_.out, editor) if row["metric"] == "i_loc")
        for editor in changes
    }
    answer = len(b" orange"[1:])  # byte by byte; joined by a space that belongs to the question
    question = len(b"Which colour is it? ")
    assert scored["ike-random"] % 10 == 0
    assert scored["ike-random"] < 10 * (answer + 1)
    assert scored["ft-llm"] > 10 * question


def test_every_record_starts_from_the_same_seed(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from mmke.editors.none.edit import NullSession

    drawn = []
    monkeypatch.setattr(NullSession, "apply", lambda *_: drawn.append(torch.rand(1).item()))
    run(plan(replace(request_, editors=("none",), changes={})))
    assert len(drawn) == 4
    assert len(set(drawn)) == 1


def test_decoding_adds_exact_match_and_f1(request_: Request) -> None:
    run(plan(replace(request_, editors=("ike-random",), changes={}, limit=1, generate=True)))
    metrics = {row["metric"] for row in rows(request_.out, "ike-random")}
    assert {f"{kind}_{way}" for kind in ("t_rel", "i_rel", "i_gen", "port") for way in ("em", "f1")} <= metrics


def test_without_training_records_the_editors_that_need_them_are_left_out(
    request_: Request, small_data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "own.json"
    file.write_text((small_data / "data_json" / "entity_eval.json").read_text())
    own = replace(request_, benchmarks=(str(file),), data=small_data / "data_image", changes={})
    without = {"none", "ft-llm", "ft-alignment", "lora", "ultraedit", "grace", "m-ore", "gated-note"}
    assert {cell.editor.name for cell in plan(replace(own, editors=None)).cells} == without
    with pytest.raises(
        UserError,
        match=r"takes its demonstrations from training records.*NAME_eval.json they are read from NAME_train.json",
    ):
        plan(replace(own, editors=("ike-random",)))


@pytest.mark.slow
def test_several_runs_share_a_finished_floor(request_: Request) -> None:
    run(plan(replace(request_, editors=("none",), changes={})))
    (floor,) = request_.out.rglob("none")
    with (floor / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(plan(replace(request_, editors=("ft-llm",), changes={"ft-llm": {"steps": 1}})))


def test_a_record_without_the_hop_keeps_its_place_and_says_why(
    request_: Request, small_data: Path, tmp_path: Path
) -> None:
    records = json.loads((small_data / "data_json" / "entity_eval.json").read_text())
    del records[1]["port_new"]
    file = tmp_path / "own.json"
    file.write_text(json.dumps(records))
    own = replace(request_, benchmarks=(str(file),), data=small_data / "data_image", editors=("ft-llm",))
    run(plan(replace(own, changes={"ft-llm": {"steps": 1}})))
    port = [row for row in rows(request_.out, "ft-llm") if row["metric"] == "port"]
    assert [row["value"] is None for row in port] == [False, True, False, False]
    assert port[1]["reason"]
    dropped = plan(replace(own, protocol="paper", changes={})).cells[0].split.dropped
    assert [drop.record for drop in dropped] == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "tiny-lava"}, "unknown backbone 'tiny-lava'; did you mean 'tiny-llava'"),
        ({"editors": ("ft-lm",)}, "unknown editor 'ft-lm'; did you mean 'ft-llm'"),
        ({"benchmarks": ("mini-entty",)}, "unknown benchmark 'mini-entty'; did you mean 'mini-entity'"),
        ({"changes": {"ft-llm": {"step": 3}}}, "unknown key 'step' .did you mean 'steps'"),
        ({"changes": {"ft-llm": {"steps": "many"}}}, "steps = 'many' is no int"),
        ({"changes": {"mend": {"rank": 3}}}, "settings for 'mend', which this run does not use"),
        ({"device": "cuda:9"}, "device 'cuda:9' is not there"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"device": "meta"}, "unknown device 'meta'"),
        ({"seed": 2**64}, f"--seed {2**64}"),
        ({"seed": -(2**63) - 1}, "--seed -9223372036854775809"),
        ({"dtype": "float23"}, "unknown dtype 'float23'"),
        ({"limit": -1}, "--limit -1"),
        ({"hop": 7}, "hop 7 does not exist"),
        ({"hop": 3}, "no record has a 3-hop question"),
        ({"out": Path(__file__)}, "is no folder that can be written to"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_told_before_anything_is_loaded(request_: Request, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(replace(request_, **change))


def test_a_link_that_leads_to_itself_is_no_folder_for_results(request_: Request, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match="cannot make the folder"):
        run(plan(replace(request_, out=loop)))


def test_two_files_of_one_name_are_refused_before_anything_is_loaded(request_: Request, tmp_path: Path) -> None:
    assert request_.data is not None
    own = request_.data / "data_json" / "entity_eval.json"
    other = tmp_path / "other" / "entity_eval.json"
    other.parent.mkdir()
    other.write_text(own.read_text().replace("tin lid", "tin cup"))
    with pytest.raises(UserError, match=r"two benchmarks are called 'entity_eval.json'"):
        plan(replace(request_, benchmarks=(str(own), str(other))))


@pytest.mark.slow
def test_other_settings_for_a_folder_are_refused(request_: Request) -> None:
    run(plan(request_))
    other = replace(request_, changes={**QUICK, "ft-llm": {"steps": 4}})
    with pytest.raises(UserError, match=r"settings\.steps: the folder has 3, this run 4"):
        run(plan(other))


def test_an_editor_that_writes_into_the_backbone_is_found_out(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmke.editors.none.edit import NullSession

    def vandalise(session: NullSession, edits: object) -> None:
        next(session.backbone.module.parameters()).data.view(-1)[0] += 1

    monkeypatch.setattr(NullSession, "apply", vandalise)
    with pytest.raises(RuntimeError, match="'none' has changed the backbone"):
        run(plan(request_))
    # What it wrote is set aside: neither a table nor the next run takes it for results.
    assert files(request_.out) == {}
    assert [file.name for file in request_.out.rglob("rows*")] == ["rows.jsonl.void"]


def test_logits_that_are_not_numbers_are_unscored_and_say_so(request_: Request) -> None:
    run(plan(replace(request_, editors=("ft-llm",), changes={"ft-llm": {"steps": 3, "learning_rate": 1e30}}, limit=1)))
    edited = rows(request_.out, "ft-llm")
    assert {row["value"] for row in edited} == {None}
    assert {row["reason"] for row in edited} == {"the model's logits are not numbers"}


def test_a_picture_that_was_replaced_is_other_data(request_: Request, small_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_data, data)
    own = replace(request_, data=data, editors=("none",), changes={}, limit=1)
    run(plan(own))
    shutil.copy(data / "data_image" / "red.png", data / "data_image" / "blue.png")
    with pytest.raises(UserError, match="data_revision"):
        run(plan(replace(own, limit=2)))

"""A training that is stopped anywhere, even killed, ends with the bits of one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from grid import first_quick
from mmke.editing.trained import BEST, LAST, read, write
from mmke.errors import UserError
from mmke.training import loop
from mmke.training.curves import CURVES
from mmke.training.train import TrainRequest, plan, train

Asked = Callable[..., TrainRequest]
TRAINED = ("mend", "serac", "ke", "mscke")


def same(one: Path, other: Path) -> bool:
    left, right = load_file(one), load_file(other)
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def stopped(request: TrainRequest, *, after: tuple[int, ...]) -> Path:
    """Train, interrupted behind some steps, each time taken up again."""
    steps = 0

    def stop(_records: int) -> None:
        nonlocal steps
        steps += 1
        if steps in after:
            raise KeyboardInterrupt

    for _ in after:
        with pytest.raises(KeyboardInterrupt):
            train(plan(request), on_step=stop)
    return train(plan(request))


@pytest.mark.parametrize("protocol", first_quick(["strict", "paper"]))
@pytest.mark.parametrize("editor", first_quick(TRAINED))
def test_a_training_that_was_stopped_ends_with_the_same_bits(
    editor: str, protocol: str, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(plan(asked(editor=editor, protocol=protocol, out=tmp_path / "whole")))
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    last = stopped(asked(editor=editor, protocol=protocol, out=tmp_path / "halted"), after=(2, 5))
    assert same(last, whole)
    assert same(last.with_name(LAST), whole.with_name(LAST))
    assert last.with_name(CURVES).read_bytes() == whole.with_name(CURVES).read_bytes()


@pytest.mark.slow
def test_what_was_done_behind_the_last_checkpoint_is_done_again(asked: Asked, tmp_path: Path) -> None:
    # Written at validations alone, so that the steps between them are lost.
    whole, request = train(plan(asked(out=tmp_path / "whole"))), asked(out=tmp_path / "halted")
    last = stopped(request, after=(3, 4, 6))
    assert same(last.with_name(LAST), whole.with_name(LAST))
    assert last.with_name(CURVES).read_bytes() == whole.with_name(CURVES).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("editor", TRAINED)
def test_a_killed_training_ends_with_the_same_bits(editor: str, asked: Asked, tmp_path: Path) -> None:
    whole = train(plan(asked(editor=editor, out=tmp_path / "whole", changes={"steps": 20})))
    request = asked(editor=editor, out=tmp_path / "killed", changes={"steps": 20})
    last = plan(request).folder / LAST
    with subprocess.Popen([sys.executable, "-c", program(request)]) as process:
        while process.poll() is None and not last.exists():
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert read(last).facts.records < 20
    assert same(train(plan(request)), whole)


def program(request: TrainRequest) -> str:
    given = {name: getattr(request, name) for name in ("editor", "backbone", "benchmarks", "data", "out")}
    return (
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path, PosixPath\n"
        "from mmke.training import loop; loop.SAVE_SECONDS = 0.0\n"
        "from mmke.training.train import TrainRequest, plan, train\n"
        f"train(plan(TrainRequest(**{given!r}, changes={dict(request.changes)!r})))\n"
    )


def test_a_training_that_is_over_is_left_as_it_is(asked: Asked) -> None:
    best = train(plan(asked()))
    before = {name: load_file(best.with_name(name)) for name in (BEST, LAST)}
    steps: list[int] = []
    train(plan(asked()), on_step=steps.append)
    assert steps == []
    assert all(
        torch.equal(load_file(best.with_name(file))[name], tensor)
        for file, tensors in before.items()
        for name, tensor in tensors.items()
    )


def test_a_folder_of_another_training_is_refused(asked: Asked) -> None:
    train(plan(asked()))
    with pytest.raises(UserError, match=r"rank = 4 there and 5 here"):
        train(plan(asked(changes={"rank": 5})))
    with pytest.raises(UserError, match="was trained with seed 0, and this is 1"):
        train(plan(asked(seed=1)))
    with pytest.raises(UserError, match="was trained with protocol 'strict', and this is 'paper'"):
        train(plan(asked(protocol="paper")))


@pytest.mark.slow
def test_other_records_than_before_are_refused(asked: Asked, apart: Path, tmp_path: Path) -> None:
    train(plan(asked()))
    other = tmp_path / "other"
    (other / "data_json").mkdir(parents=True)
    (other / "data_image").symlink_to(apart / "data_image")
    for file in (apart / "data_json").glob("user_*.json"):
        records = json.loads(file.read_text())
        records[0]["alt"] = "something else"
        (other / "data_json" / file.name).write_text(json.dumps(records))
    with pytest.raises(UserError, match="was trained on other records than there are now; choose another --out"):
        train(plan(asked(data=other)))


def test_a_checkpoint_that_was_not_trained_here_is_not_written_over(asked: Asked) -> None:
    best = train(plan(asked()))
    kept = read(best)
    best.with_name(LAST).unlink()
    facts = {**kept.facts.__dict__, "protocol": "paper"}
    write(best, kept.tensors, type(kept.facts)(**facts), further={})
    with pytest.raises(UserError, match="was trained with protocol 'paper', and this is 'strict'; choose another"):
        train(plan(asked()))
    assert read(best).facts.protocol == "paper"


def test_a_last_checkpoint_that_is_cut_off_is_told(asked: Asked) -> None:
    last = train(plan(asked())).with_name(LAST)
    last.write_bytes(last.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"last\.safetensors is broken .* delete it and train again"):
        train(plan(asked()))

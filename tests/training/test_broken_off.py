"""What breaks a training off costs one message and none of what was good."""

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from mmke.cli import main
from mmke.editing import trained
from mmke.editing.trained import BEST, LAST, read
from mmke.editors.mend.edit import Mend
from mmke.errors import UserError
from mmke.training.train import TrainingPlan, TrainRequest, plan, train
from mmke.types import EditCase

Asked = Callable[..., TrainRequest]
LOSSES = Mend.losses
NAN = float("nan")


def spoil(monkeypatch: pytest.MonkeyPatch, *, at: int, learn: bool = True, by: float | Exception = NAN) -> list[str]:
    """Let the `at`-th loss of training or of validation be no number, or raise; return the records in their order."""
    seen: list[str] = []

    def losses(self: Mend, backbone: object, case: EditCase, **options: bool) -> object:
        found = LOSSES(self, backbone, case, **options)  # type: ignore[arg-type]
        if options["learn"] != learn:
            return found
        seen.append(case.id)
        if len(seen) != at:
            return found
        if isinstance(by, Exception):
            raise by
        return {**found, "total": found["total"] * by}

    monkeypatch.setattr(Mend, "losses", losses)
    return seen


def good(planned: TrainingPlan) -> tuple[int, int]:
    """Return after how many records the checkpoints were written, all of whose tensors have to be numbers."""
    kept = [read(planned.folder / name) for name in (LAST, BEST)]
    assert all(tensor.isfinite().all() for each in kept for tensor in each.tensors.values())
    return kept[0].facts.records, kept[1].facts.records


def test_a_loss_that_is_no_number_stops_with_step_and_record(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, seen = plan(asked()), spoil(monkeypatch, at=5)
    with pytest.raises(
        UserError, match=r"is no finite number at step 3, 6 records .* is kept: best.* and last.*--set learning_rate"
    ) as told:
        train(planned)
    assert f"mend: the loss of record {seen[4]} is no" in str(told.value)
    assert good(planned) == (4, 4)


def test_a_loss_that_is_no_number_in_validation_stops_too(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(asked())
    seen = spoil(monkeypatch, at=2, learn=False)
    with pytest.raises(UserError, match=r"is no finite number at step 4") as told:
        train(planned)
    assert f"the loss of validation record {seen[1]}" in str(told.value)
    assert good(planned) == (4, 4)


def test_a_gradient_that_is_no_number_stops_with_its_records(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, seen = plan(asked()), spoil(monkeypatch, at=99)
    clip, norms = torch.nn.utils.clip_grad_norm_, []

    def broken(*given: object, **options: object) -> torch.Tensor:
        norms.append(clip(*given, **options))  # type: ignore[arg-type]
        return norms[-1] * (NAN if len(norms) == 4 else 1.0)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", broken)
    with pytest.raises(UserError, match=r"is no finite number at step 4") as told:
        train(planned)
    assert f"the gradient of record {seen[6]} and {seen[7]}" in str(told.value)
    assert good(planned) == (4, 4)


def test_networks_that_are_no_numbers_are_never_written(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    planned, steps = plan(asked(changes={"validate_every": 100})), 0

    def spoiled(self: Mend) -> None:
        nonlocal steps
        steps += 1
        if steps == 6:  # behind the last step there is no loss to show it
            self.networks().steps.data[0] = NAN

    monkeypatch.setattr(Mend, "after_step", spoiled)
    monkeypatch.setattr(Mend, "losses", lambda *given, **options: _finite(LOSSES(*given, **options)))
    with pytest.raises(UserError, match=r"'steps' of the networks is no finite number at step 6"):
        train(planned)
    assert not (planned.folder / LAST).exists()


def _finite(losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.nan_to_num() for name, value in losses.items()}


def test_before_anything_was_kept_the_message_says_so(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, at=1)
    with pytest.raises(UserError, match="nothing was kept yet"):
        train(plan(asked()))


def test_memory_that_ends_is_told_with_the_record_and_what_helps(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(asked())
    seen = spoil(monkeypatch, at=7, by=torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    with pytest.raises(UserError, match=r"cpu has too little memory to train mend on tiny-llava at record") as told:
        train(planned)
    for part in (seen[6], "is kept: best.safetensors and last.safetensors", "--dtype float16", "smaller networks"):
        assert part in str(told.value)
    assert good(planned) == (4, 4)


def test_memory_that_ends_while_networks_are_laid_out_is_told(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Mend, "prepare", full)
    with pytest.raises(UserError, match="too little memory to train mend on tiny-llava while its networks are laid"):
        train(plan(asked()))


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("I/O error: No space left on device (os error 28)"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_disk_that_is_full_keeps_the_checkpoint_before(
    error: Exception, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, save, written = plan(asked()), trained.save_file, []

    def full(tensors: object, path: Path, **options: object) -> None:
        written.append(path.name)
        if len(written) == 4:
            path.write_bytes(b"half of it")
            raise error
        save(tensors, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trained, "save_file", full)
    with pytest.raises(UserError, match=r"cannot be written .*No space left.*the one before it is kept; make room"):
        train(planned)
    assert good(planned)[0] == 4
    assert not list(planned.folder.glob("*.tmp"))


def test_two_trainings_cannot_have_one_folder(asked: Asked) -> None:
    planned = plan(asked())
    planned.folder.mkdir(parents=True)
    with (planned.folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="is being written by another program"):
            train(planned)
    assert not (planned.folder / LAST).exists()


def test_a_folder_that_cannot_be_written_to_is_told_before_anything(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--out .*file: .* is no folder that can be written to"):
        plan(asked(out=tmp_path / "file"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tiny-llava").write_text("")
    with pytest.raises(UserError, match=r"cannot make the folder .* \(Not a directory\); choose another --out"):
        train(plan(asked(out=tmp_path / "out")))


def test_the_command_tells_it_in_one_line(
    apart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch, at=1)
    command = ["train", "mend", "--backbone", "tiny-llava", "--benchmark", "mmke-user", "--data", str(apart)]
    assert main([*command, "--set", "rank=4", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert len([line for line in told.splitlines() if line.startswith("mmke: ")]) == 1

"""Recorded passes of records add the gradients that computing them anew adds, and tell the same losses.

A processor records nothing. Here a recording is a function that is called again, with its tape: what would be copied to
a GPU, or asked of it, is found out on any machine. `@pytest.mark.gpu` tests the recordings themselves.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmke.backbones.engine import sending
from mmke.backbones.engine.replay import deterministic
from mmke.backbones.engine.store import HostStore
from mmke.backbones.engine.taping import OtherStepError, Tape, reading, same, writing
from mmke.running.loading import load
from mmke.training import recording
from mmke.training.recording import Recorder
from mmke.training.step import Optimization, take_step
from mmke.training.train import TrainRequest, plan, wanted

Asked = Callable[..., TrainRequest]
LENT = {"ke": {"embedding": "own"}}


class Again:
    """In the place of a recording: the step itself."""

    made = 0

    def __init__(self, step: Callable[[], None]) -> None:
        self.replay = step

    @classmethod
    def record(cls, step: Callable[[], None], _device: torch.device, _place: None) -> "Again":
        cls.made += 1
        return cls(step)


@pytest.fixture
def on_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Again, "made", 0)
    monkeypatch.setattr(recording, "record", Again.record)
    monkeypatch.setattr(recording, "Place", SimpleNamespace(on=lambda _: None))


def trained(request: TrainRequest, steps: int, *, recorded: bool) -> tuple[Mapping[str, Tensor], list[Any]]:
    """Return the networks and the losses after some steps over the first two records, two in each step."""
    planned = plan(request, alone=True)
    editor, backbone, store = planned.editor, load(wanted(request, request.device)), HostStore()
    editor.prepare(backbone, planned.cases, store=store)
    assert editor.network is not None
    optimizer, schedule = editor.optimizer()
    recorder = Recorder(list(editor.network.parameters())) if recorded else None
    optimization = Optimization(optimizer, schedule, recorder)
    losses = [take_step(editor, backbone, planned.cases[:2], optimization, store=store) for _ in range(steps)]
    return {name: tensor.clone() for name, tensor in editor.network.state_dict().items()}, losses


@pytest.mark.usefixtures("on_processor")
@pytest.mark.parametrize(
    ("editor", "protocol"),
    [
        pytest.param("ke", "strict", marks=pytest.mark.slow),
        pytest.param("mend", "strict", marks=pytest.mark.slow),
        pytest.param("mend", "paper", marks=pytest.mark.slow),
        pytest.param("serac", "strict", marks=pytest.mark.slow),
        pytest.param("mscke", "strict", marks=pytest.mark.slow),
    ],
)
def test_what_is_recorded_trains_the_same_bits(
    editor: str, protocol: str, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = asked(editor=editor, protocol=protocol)
    alone, told = trained(request, 5, recorded=False)
    copied = sending._copied
    counted: list[None] = []
    monkeypatch.setattr(sending, "_copied", lambda *given: counted.append(None) or copied(*given))
    networks, losses = trained(request, 2, recorded=True)
    assert Again.made == 2
    few = len(counted)
    networks, losses = trained(request, 5, recorded=True)
    assert losses == told
    assert all(torch.equal(networks[name], alone[name]) for name in alone)
    # Steps three to five read the tape: they copied nothing more.
    assert len(counted) - few == few


def test_a_parameter_without_gradient_stays_without(on_processor: None) -> None:
    one, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    recorder = Recorder([one, other])

    def only(parameter: nn.Parameter) -> Mapping[str, Tensor]:
        loss = (parameter * 3).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return {"total": loss.detach(), "fixed": torch.tensor(1.0)}

    for times in range(4):
        one.grad = other.grad = None
        assert recorder.take("one", lambda: only(one))["total"] == 6
        assert other.grad is None
        recorder.take("one", lambda: only(one))
        assert torch.equal(one.grad, torch.full((2,), 6.0)), times
        recorder.take("other", lambda: only(other))
        assert torch.equal(other.grad, torch.full((2,), 3.0))
    assert set(recorder.recorded) == {"one", "other"}
    recorder.close()
    assert not recorder.recorded


def test_what_cannot_be_recorded_is_computed(
    on_processor: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "record", lambda *_: None)
    caplog.set_level("INFO", logger="mmke")
    weight = nn.Parameter(torch.ones(1))
    recorder, passes = Recorder([weight]), 0

    def one() -> Mapping[str, Tensor]:
        nonlocal passes
        passes += 1
        weight.sum().backward()  # type: ignore[no-untyped-call]
        return {"total": weight.detach().sum()}

    for _ in range(4):
        recorder.take("record", one)
    assert passes == 4
    assert torch.equal(weight.grad, torch.full((1,), 4.0))
    assert "0 records are recorded, the others are computed as they are (a step cannot be recorded)" in caplog.text


def test_a_tape_gives_back_what_was_made_and_tells_another_step() -> None:
    tape, made = Tape(), []

    def make(value: int) -> int:
        made.append(value)
        return same(lambda: value)  # what is made within belongs to it

    def step(values: list[int]) -> list[int]:
        return [same(lambda value=value: make(value)) for value in values]

    with writing(tape):
        assert step([1, 2]) == [1, 2]
    with reading(tape):
        assert step([3, 4]) == [1, 2]
    assert made == [1, 2]
    with pytest.raises(OtherStepError, match="less"), reading(tape):
        step([1])
    with pytest.raises(OtherStepError, match="more"), reading(tape):
        step([1, 2, 3])


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("editor", "protocol", "changes"),
    [
        ("ke", "strict", {}),
        ("mend", "strict", {}),
        ("mend", "paper", {}),
        ("serac", "strict", {"encoder": "random", "encoder_trained": True, "head": 0}),
    ],
)
def test_recordings_on_a_gpu_train_the_same_bits(
    editor: str, protocol: str, changes: Mapping[str, Any], asked: Asked
) -> None:
    request = asked(editor=editor, protocol=protocol, changes=changes, device="cuda")
    with deterministic(torch.device("cuda")):
        alone, told = trained(request, 5, recorded=False)
        networks, losses = trained(request, 5, recorded=True)
    assert losses == told
    assert all(torch.equal(networks[name], alone[name]) for name in alone)

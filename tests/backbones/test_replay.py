"""Repeated steps: as many as were asked for, the same bits whether recorded or not, and nothing left behind."""

import logging
from collections.abc import Callable
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from mmke.backbones.engine import replay
from mmke.backbones.engine.replay import WORTH, deterministic, repeat

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def training(device: torch.device) -> tuple[nn.Module, Callable[[], None]]:
    """A small model and a step of training it, which reads and writes the same tensors each time."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 8)).to(device)
    inputs, target = torch.randn(16, 32, device=device), torch.arange(16, device=device) % 8
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True, capturable=device.type == "cuda")

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return model, step


def trained(device: torch.device, times: int, run: Callable[[Callable[[], None], int], None]) -> list[Tensor]:
    model, step = training(device)
    run(step, times)
    return [tensor.detach().cpu() for tensor in model.parameters()]


def plainly(step: Callable[[], None], times: int) -> None:
    with deterministic(GPU):
        for _ in range(times):
            step()


@pytest.mark.parametrize("times", [0, 1, WORTH - 1, WORTH, 40])
def test_a_processor_runs_the_step_that_many_times(times: int) -> None:
    taken: list[int] = []
    repeat(lambda: taken.append(len(taken)), times, device=CPU)
    assert len(taken) == times


def test_a_processor_trains_as_a_loop_does() -> None:
    def loop(step: Callable[[], None], times: int) -> None:
        for _ in range(times):
            step()

    ours = trained(CPU, 10, lambda step, times: repeat(step, times, device=CPU))
    for one, other in zip(ours, trained(CPU, 10, loop), strict=True):
        assert torch.equal(one, other)


def settings() -> tuple[bool, bool]:
    filling: bool = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    return torch.are_deterministic_algorithms_enabled(), filling


@pytest.mark.parametrize("before", [True, False])
def test_a_cards_settings_are_as_before_after_an_error(before: bool) -> None:  # noqa: FBT001
    inside: list[tuple[bool, bool]] = []

    def fail() -> None:
        with deterministic(GPU):
            inside.append(settings())
            raise ZeroDivisionError

    torch.use_deterministic_algorithms(mode=before)
    try:
        with pytest.raises(ZeroDivisionError):
            fail()
        assert settings() == (before, True)
    finally:
        torch.use_deterministic_algorithms(mode=False)
    assert inside == [(True, False)]


def test_a_processor_needs_no_setting() -> None:
    with deterministic(CPU):
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.gpu
@pytest.mark.parametrize("times", [WORTH - 1, WORTH, 40])
def test_recorded_steps_are_the_plain_steps_bit_for_bit(times: int) -> None:
    recorded = trained(GPU, times, lambda step, n: repeat(step, n, device=GPU))
    for one, other in zip(recorded, trained(GPU, times, plainly), strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
def test_a_step_is_recorded_once_and_not_asked_for_again() -> None:
    asked: list[int] = []
    count = torch.zeros((), device=GPU)

    def step() -> None:
        asked.append(0)
        count.add_(1)

    repeat(step, 40, device=GPU)
    assert count.item() == 40
    assert len(asked) < 4


@pytest.mark.gpu
def test_a_step_that_waits_for_the_device_runs_as_it_is_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    count = torch.zeros((), device=GPU)
    seen: list[float] = []

    def step() -> None:
        count.add_(1)
        seen.append(count.item())

    with caplog.at_level(logging.WARNING):
        repeat(step, 10, device=GPU)
    assert count.item() == 10
    assert seen[-1] == 10
    assert "a step cannot be recorded and runs as it is" in caplog.text


@pytest.mark.parametrize("broken_off", [False, True])
def test_a_recording_that_failed_is_ended_once(*, broken_off: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library ends the pool itself with a recording that ends; a second end would end the process."""
    ended: list[str] = []

    def capture_end() -> None:
        ended.append("recording")
        if broken_off:
            raise RuntimeError("operation failed due to a previous error during capture")

    for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        monkeypatch.setattr(torch._C, name, lambda *_, name=name: ended.append(name), raising=False)
    graph = Mock(spec=torch.cuda.CUDAGraph, capture_end=capture_end)
    generator = Mock(spec=torch.Generator, device=torch.device("cuda", 0))
    generator.graphsafe_set_state = lambda _: ended.append("draws")
    replay._break_off(graph, "the pool", generator, torch.Generator())
    pool = ["_cuda_endAllocateToPool", "_cuda_releasePool"] if broken_off else []
    assert ended == ["recording", *pool, "draws"]


@pytest.mark.gpu
def test_a_step_that_the_library_itself_refuses_to_record_runs_as_it_is() -> None:
    count, one = torch.zeros(3, device=GPU), torch.ones(3)
    repeat(lambda: count.add_(one.to(GPU)), 10, device=GPU)  # type: ignore[arg-type,return-value]
    assert count.tolist() == [10, 10, 10]
    test_a_step_is_recorded_once_and_not_asked_for_again()


@pytest.mark.gpu
def test_the_memory_of_a_recording_that_breaks_off_is_given_back() -> None:
    kept = torch.zeros((), device=GPU)

    def wide() -> None:
        kept.add_(torch.randn(1 << 22, device=GPU).sum())
        kept.item()

    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    repeat(wide, 10, device=GPU)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before


@pytest.mark.gpu
def test_the_memory_of_a_recording_is_given_back() -> None:
    model, step = training(GPU)
    step()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()

    def wide() -> None:
        torch.randn(1 << 22, device=GPU).mul_(2).sum()
        step()

    repeat(wide, 10, device=GPU)
    assert torch.cuda.memory_reserved() <= before + (4 << 20)
    del model


@pytest.mark.gpu
def test_a_card_is_left_as_it_was_after_an_error_in_a_step() -> None:
    def step() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        repeat(step, 10, device=GPU)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.ones(3, device=GPU).sum().item() == 3


TWO = [torch.device("cuda", 0), torch.device("cuda", 1)]
two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


@pytest.mark.gpu
@two_gpus
@pytest.mark.parametrize("card", TWO)
def test_a_step_on_one_of_several_cards_is_recorded_there(card: torch.device) -> None:
    ran: list[bool] = []

    def training_there(step: Callable[[], None], times: int) -> None:
        def counted() -> None:
            ran.append(True)
            step()

        repeat(counted, times, device=TWO[0], cards=TWO)

    recorded = trained(card, 40, training_there)
    assert len(ran) == 2  # the first, and the one that is recorded
    for one, other in zip(recorded, trained(TWO[0], 40, plainly), strict=True):
        assert torch.equal(one, other)


@pytest.mark.gpu
@two_gpus
def test_a_step_that_crosses_cards_runs_as_it_is() -> None:
    begin, end, ran = torch.zeros((), device=TWO[0]), torch.zeros((), device=TWO[1]), []

    def step() -> None:
        ran.append(True)
        end.add_((begin + 1).to(TWO[1]))

    repeat(step, 20, device=TWO[0], cards=TWO)
    assert len(ran) == 20
    assert end.item() == 20

"""Repeating one step many times: on a GPU the step is recorded once and replayed.

A step of fine-tuning is thousands of small kernels that take less time than Python takes to ask for them. A recorded
step (a CUDA graph) asks for all of them at once; it runs the same kernels on the same tensors.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from mmke import steps
from mmke.backbones.reason import reason

WARM = 1
"""Steps before the recording: libraries choose kernels and make their workspaces in the first."""
WORTH = 6
"""From this many steps on a recording pays."""

logger = logging.getLogger(__name__)


def repeat(step: Callable[[], None], times: int, *, device: torch.device, cards: Sequence[torch.device] = ()) -> None:
    """Run `step` `times` times, deterministically.

    Args:
        step: reads and writes the same tensors each time.
        times: how often.
        device: where it computes.
        cards: all GPUs on which it may compute; none: on `device` alone. A step that computes on one of them is
            recorded there. A recording is of one GPU, so that a step that crosses from one to another runs as it is.

    A step reads and writes the same tensors each time, and never waits for the device. One that does wait cannot be
    recorded; it is run as it is, and the log says so. After each step it says how many are done (`mmke.steps`).
    """
    with deterministic(device):
        if device.type != "cuda" or times < WORTH:
            for done in range(times):
                step()
                steps.report(done + 1, times)
            return
        _replay(step, times, cards or (device,))


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Within, sums of gradients are taken in one fixed order; on a CPU they always are.

    CUBLAS_WORKSPACE_CONFIG, which earlier releases of the library asked for, is not set: each stream has a workspace of
    its own without it, and with it the library parses the variable anew for each product of matrices, which took 55 µs
    of the processor for one without and 180 µs for one with a bias (torch 2.11).
    """
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(mode=True)
    # The library would also overwrite every new tensor, so that reading one too early repeats itself.
    settings: Any = torch.utils.deterministic
    filling, settings.fill_uninitialized_memory = settings.fill_uninitialized_memory, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=before)
        settings.fill_uninitialized_memory = filling


def _replay(step: Callable[[], None], times: int, cards: Sequence[torch.device]) -> None:
    before = _allocations(cards)
    for _ in range(WARM):
        step()
    taken = zip(cards, before, _allocations(cards), strict=True)
    computing = [card for card, earlier, now in taken if now > earlier] or list(cards[:1])
    recorded = _record(step, computing[0]) if len(computing) == 1 else None
    if len(computing) > 1:
        logger.info("a step crosses GPUs, so that it is not recorded and runs as it is")
    try:
        for done in range(WARM, times):
            if recorded is None:
                step()
            else:
                recorded.replay()
            steps.report(done + 1, times)
    finally:
        for card in computing:
            torch.cuda.synchronize(card)
        del recorded
        give_back()


def give_back() -> None:
    """Give the memory of recordings that are gone back to the device."""
    # What a recording held serves nothing else: neither its memory nor, within it, the workspaces of its stream.
    torch._C._cuda_clearCublasWorkspaces()  # noqa: SLF001
    torch.cuda.empty_cache()


def _allocations(cards: Sequence[torch.device]) -> list[int]:
    """Return how often memory was taken on each card so far: whatever computes on a card takes some."""
    return [torch.cuda.memory_stats(card).get("allocation.all.allocated", 0) for card in cards]


def _record(step: Callable[[], None], device: torch.device) -> torch.cuda.CUDAGraph | None:
    """Record a step; None, and a word in the log, when it cannot be."""
    # A recording has memory of its own: what the steps before it took is given back first.
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    return record(step, device, Place.on(device))


class Place(NamedTuple):
    """Where recordings are made: those of one place share its memory, so that they are replayed one after the other."""

    stream: torch.cuda.Stream
    pool: Any

    @classmethod
    def on(cls, device: torch.device) -> "Place":
        """Return a new one."""
        return cls(torch.cuda.Stream(device), torch.cuda.graph_pool_handle())  # type: ignore[no-untyped-call]


def record(step: Callable[[], None], device: torch.device, place: Place) -> torch.cuda.CUDAGraph | None:
    """Record a step, without running it; None, and a word in the log, when it cannot be."""
    graph, pool = torch.cuda.CUDAGraph(), place.pool
    generator = torch.cuda.default_generators[_index(device)]
    drawn = generator.clone_state()
    with torch.cuda.stream(place.stream):
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            step()
            graph.capture_end()
        except RuntimeError as error:
            logger.warning("a step cannot be recorded and runs as it is (%s)", reason(error))
            _break_off(graph, pool, generator, drawn)
            return None
    return graph


def _break_off(graph: torch.cuda.CUDAGraph, pool: Any, generator: torch.Generator, drawn: torch.Generator) -> None:
    """End a recording that failed.

    Where the failure is one of Python alone, such as a copy that the library refuses, the recording itself still ends
    as any other. Where the device has broken it off, the library leaves its generator and its allocator waiting for the
    end, and the allocator would give no memory back as long as it waits.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The CUDA Graph is empty")  # it broke off before its first kernel
            graph.capture_end()
    except RuntimeError:
        device = _index(generator.device)
        torch._C._cuda_endAllocateToPool(device, pool)  # noqa: SLF001
        torch._C._cuda_releasePool(device, pool)  # noqa: SLF001
    generator.graphsafe_set_state(drawn)


def _index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index

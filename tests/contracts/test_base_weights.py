"""Property: an editor that is trained never writes into the backbone, whatever happens, on every architecture."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch
from contract_kit import EDITORS, is_trained, learn, make_untrained
from torch import Tensor, nn

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.errors import UserError
from mmke.protocols import TrainableEditor
from mmke.types import PROTOCOLS, Ask, EditCase

ASK = Ask()
TRAINED = [name for name in EDITORS if is_trained(name)]
FEW = ("recall", "t_loc", "i_rel")
"""Kinds of probes that are asked here."""
BEYOND = 99
"""More passes through the last module than any step takes."""


class InterruptionError(Exception):
    """What is thrown where nobody expects it."""


@dataclass(frozen=True)
class Original:
    """A module as it was: each tensor itself, its bits, how often it had been written to; and hooks and modes."""

    tensors: dict[str, tuple[Tensor, Tensor, int]]
    rest: list[str]

    @classmethod
    def of(cls, module: nn.Module) -> "Original":
        return cls({n: (t, t.detach().clone(), t._version) for n, t in _tensors(module)}, list(_rest(module)))

    def check(self, module: nn.Module) -> None:
        """Fail where a tensor is another one, has other bits, was written to meanwhile, or has a gradient."""
        now = dict(_tensors(module))
        assert now.keys() == self.tensors.keys()
        for name, (tensor, bits, version) in self.tensors.items():
            assert now[name] is tensor, name
            assert torch.equal(_bits(tensor), _bits(bits)), name
            assert tensor._version == version, name
            assert tensor.grad is None, name
        assert list(_rest(module)) == self.rest


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _bits(tensor: Tensor) -> Tensor:
    # As bytes, since a number that is none would be unequal to itself.
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def _rest(module: nn.Module) -> Iterator[str]:
    yield from (f"{name} {tensor.requires_grad}" for name, tensor in _tensors(module))
    for name, part in module.named_modules():
        yield f"{name} {part.training} {len(part._forward_hooks)} {len(part._forward_pre_hooks)}"


@contextmanager
def interrupted(module: nn.Module, *, at: int) -> Iterator[list[int]]:
    """Throw when a module has run so many times; yields the passes so far."""
    passes: list[int] = []

    def throw(*_: object) -> None:
        passes.append(len(passes))
        if len(passes) > at:
            raise InterruptionError

    handle = module.register_forward_hook(throw)
    try:
        yield passes
    finally:
        handle.remove()


def break_everywhere(backbone: ComposedBackbone, step: Callable[[], object], original: Original) -> int:
    """Interrupt a step behind each of its passes through the head in turn, look each time, and count them."""
    for at in range(BEYOND):
        with interrupted(backbone.decoder.head, at=at) as passes, suppress(InterruptionError):
            step()
        original.check(backbone.module)
        if len(passes) <= at:
            return at
    raise AssertionError("the step never ended")


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    """One for all tests: what a text encoder reads is the same for each backbone."""
    return MemoryStore()


@pytest.fixture
def original(backbone: ComposedBackbone) -> Original:
    return Original.of(backbone.module)


@pytest.fixture(params=product(TRAINED, PROTOCOLS), ids="-".join)
def editor(
    request: pytest.FixtureRequest,
    original: Original,
    backbone: ComposedBackbone,
    train: tuple[EditCase, ...],
    store: MemoryStore,
) -> TrainableEditor:
    name, protocol = request.param
    return make_untrained(name, backbone, train, PROTOCOLS[protocol], store=store)


@pytest.fixture
def use(
    editor: TrainableEditor, backbone: ComposedBackbone, cases: tuple[EditCase, ...], store: MemoryStore
) -> Callable[..., None]:
    """Edit, answer, and perhaps write freely."""

    def edit_and_ask(*, target: str | None = None, write: bool = False) -> None:
        probes = [next(probe for probe in cases[0].probes if probe.kind.name == kind) for kind in FEW]
        with editor.open(backbone, store) as session:
            session.apply(cases[0].edits)
            session.answer([replace(probe, target=probe.target if target is None else target) for probe in probes], ASK)
            if write:
                session.answer(probes[-1:], Ask(decode="generate", max_new=2))

    return edit_and_ask


def test_base_weights_are_never_written(
    editor: TrainableEditor,
    backbone: ComposedBackbone,
    train: tuple[EditCase, ...],
    store: MemoryStore,
    original: Original,
    use: Callable[..., None],
) -> None:
    learn(editor, backbone, train, 2, store=store)
    original.check(backbone.module)
    use(write=True)
    original.check(backbone.module)


def test_base_weights_are_not_written_where_training_breaks_off(
    editor: TrainableEditor,
    backbone: ComposedBackbone,
    train: tuple[EditCase, ...],
    store: MemoryStore,
    original: Original,
) -> None:
    def lesson() -> None:
        editor.losses(backbone, train[0], store=store, learn=True)["total"].backward()

    assert break_everywhere(backbone, lesson, original) > 1


def test_base_weights_are_not_written_where_a_session_breaks_off(
    editor: TrainableEditor, backbone: ComposedBackbone, original: Original, use: Callable[..., None]
) -> None:
    assert break_everywhere(backbone, use, original) > 0
    with pytest.raises(UserError):
        use(target="")
    original.check(backbone.module)

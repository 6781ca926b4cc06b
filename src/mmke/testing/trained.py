"""What an editor that is trained promises besides: it never writes into the backbone, whatever happens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.errors import UserError
from mmke.protocols import Store, TrainableEditor
from mmke.testing.kit import TINY, Changes, Kit, shared_kit, teach
from mmke.types import PROTOCOLS, Ask, EditCase

FEW = ("recall", "t_loc", "i_rel")
"""Kinds of probes that are asked here."""
BEYOND = 99
"""More passes through the last module than any step takes."""


class InterruptionError(Exception):
    """What is thrown in the middle of a step."""


@dataclass(frozen=True)
class Original:
    """A module as it was: each tensor, its bits and how often it had been written to; hooks and modes."""

    tensors: dict[str, tuple[Tensor, Tensor, int]]
    rest: list[str]

    @classmethod
    def of(cls, module: nn.Module) -> "Original":
        """Remember a module."""
        tensors = {name: (tensor, tensor.detach().clone(), tensor._version) for name, tensor in _tensors(module)}
        return cls(tensors, list(_rest(module)))

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
    # Compared as bytes, because NaN is not equal to itself.
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def _rest(module: nn.Module) -> Iterator[str]:
    yield from (f"{name} {tensor.requires_grad}" for name, tensor in _tensors(module))
    for name, part in module.named_modules():
        yield f"{name} {part.training} {len(part._forward_hooks)} {len(part._forward_pre_hooks)}"


@dataclass(frozen=True)
class TrainedTrial:
    """An editor with fresh networks, on a backbone that must stay as it was."""

    kit: Kit
    editor: TrainableEditor
    backbone: ComposedBackbone
    original: Original
    store: Store

    def check(self) -> None:
        """Fail where the backbone is not what it was."""
        self.original.check(self.backbone.module)

    def train_a_step(self) -> None:
        """Compute the losses of one record and their gradients."""
        losses = self.editor.losses(self.backbone, self.kit.train[0], store=self.store, learn=True)
        losses["total"].backward()  # type: ignore[no-untyped-call]

    def edit_and_ask(self, *, target: str | None = None, write: bool = False) -> None:
        """Edit, answer with the probes' targets or another one, and let the model write freely if asked to."""
        case: EditCase = self.kit.cases[0]
        probes = [next(probe for probe in case.probes if probe.kind.name == kind) for kind in FEW]
        with self.editor.open(self.backbone, self.store) as session:
            session.apply(case.edits)
            session.answer([replace(p, target=p.target if target is None else target) for p in probes], Ask())
            if write:
                session.answer(probes[-1:], Ask(decode="generate", max_new=2))


TrainedClaim = Callable[[TrainedTrial], None]


def base_weights_are_never_written(trial: TrainedTrial) -> None:
    """Neither training nor a session writes into the backbone."""
    teach(trial.editor, trial.backbone, trial.kit.train, 2, store=trial.store)
    trial.check()
    trial.edit_and_ask(write=True)
    trial.check()


def base_weights_are_not_written_where_training_breaks_off(trial: TrainedTrial) -> None:
    """The same where a step of training ends by an error behind any of its passes."""
    assert break_everywhere(trial, trial.train_a_step) > 1


def base_weights_are_not_written_where_a_session_breaks_off(trial: TrainedTrial) -> None:
    """The same where a session ends by an error behind any of its passes, or by a user's mistake."""
    assert break_everywhere(trial, trial.edit_and_ask) > 0
    with pytest.raises(UserError):
        trial.edit_and_ask(target="")
    trial.check()


TRAINED_CLAIMS: tuple[TrainedClaim, ...] = (
    base_weights_are_never_written,
    base_weights_are_not_written_where_training_breaks_off,
    base_weights_are_not_written_where_a_session_breaks_off,
)


def break_everywhere(trial: TrainedTrial, step: Callable[[], None]) -> int:
    """Interrupt a step behind each of its passes through the head in turn, look each time, and count them."""
    for at in range(BEYOND):
        with interrupted(trial.backbone.decoder.head, at=at) as passes, suppress(InterruptionError):
            step()
        trial.check()
        if len(passes) <= at:
            return at
    raise AssertionError("the step never ended")


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


def trained_editor_contract(
    *names: str,
    backbones: Sequence[str] = TINY,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    changes: Changes | None = None,
) -> Callable[..., None]:
    """Return a test of every claim for each of these trainable editors, on each backbone under each protocol.

    It comes beside `editor_contract`, whose arguments these are.
    """

    @pytest.mark.parametrize("claim", TRAINED_CLAIMS, ids=lambda claim: claim.__name__)
    @pytest.mark.parametrize("protocol", protocols)
    @pytest.mark.parametrize("backbone", backbones)
    @pytest.mark.parametrize("editor", names)
    def test_trained_editor(
        editor: str, backbone: str, protocol: str, claim: TrainedClaim, request: pytest.FixtureRequest
    ) -> None:
        kit = shared_kit(request)
        loaded = kit.backbone(backbone)
        original = Original.of(loaded.module)
        made = kit.untrained(editor, loaded, changes=changes, switches=PROTOCOLS[protocol])
        claim(TrainedTrial(kit, made, loaded, original, kit.reading_store))

    return test_trained_editor

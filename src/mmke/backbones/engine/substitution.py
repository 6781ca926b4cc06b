"""Use edited tensors in the place of a module's own: for one call, or written into it inside a context.

In: a module, and by name a full tensor or a low-rank update. Out: what a function returns with them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn.functional import layer_norm

from mmke.backbones.engine.turns import LENT, Lent, alone, lent, turn
from mmke.protocols import LowRankUpdate, Weights

T = TypeVar("T")


class _Call(nn.Module):
    """Makes any function of a module callable by `functional_call`."""

    def __init__(self, module: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.module = module
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def call_with(module: nn.Module, weights: Weights, function: Callable[..., T], *args: object) -> T:
    """Return `function(*args)` as if `weights` were `module`'s tensors of these names; nothing is written.

    A submodule with an edited tensor of another dtype computes in that dtype and returns the dtype of its input. A
    low-rank update is computed in its own precision and added to the linear's output; on a GPU, beside a linear in half
    precision, its products are TF32. The caller must have the turn (`turns`), because the module is changed during the
    call.
    """
    replaced = {name: edited for name, edited in weights.items() if isinstance(edited, Tensor)}
    added = {name: edited for name, edited in weights.items() if isinstance(edited, LowRankUpdate)}
    with _adding(module, added), _in_their_own_precision(module, replaced):
        if not replaced:
            return function(*args)
        tensors = {f"module.{name}": tensor for name, tensor in _with_companions(module, replaced).items()}
        # Looking for tied tensors would take longer than a step; no editor edits one.
        result: T = functional_call(_Call(module, function), tensors, args, tie_weights=False)
        return result


def dense(own: Tensor, edited: Tensor | LowRankUpdate) -> Tensor:
    """Return an edited tensor as one matrix, also where the edit is a low-rank update of `own`."""
    return edited if isinstance(edited, Tensor) else own.float() + edited.product()


def joined(own: Tensor, before: Tensor | LowRankUpdate | None, added: LowRankUpdate) -> Tensor | LowRankUpdate:
    """Return a matrix with one more low-rank update; as factors while they are smaller than the matrix.

    So after any number of updates neither what is kept nor the product with it grows beyond the matrix: factors of the
    matrix's size take as many multiplications as the matrix does. A first update stays as it is.
    """
    if before is None:
        return added
    if isinstance(before, Tensor):
        return torch.addmm(before.float(), added.outputs.T, added.inputs)
    both = LowRankUpdate(torch.cat([before.inputs, added.inputs]), torch.cat([before.outputs, added.outputs]))
    return both if both.inputs.numel() + both.outputs.numel() < own.numel() else dense(own, both)


@contextmanager
def written(module: nn.Module, weights: Weights) -> Iterator[nn.Module]:
    """Write `weights` into `module`, cast to its dtype, and put back every bit on leaving.

    Raises:
        UserError: another thread has written an edit into it.
    """
    with turn(module):
        own = dict(module.named_parameters())
        saved = {name: own[name].detach().clone() for name in weights}
        earlier, module.__dict__[LENT] = lent(module), Lent()
    try:
        with turn(module), torch.no_grad():
            for name, edited in weights.items():
                own[name].copy_(dense(own[name], edited))
        yield module
    finally:
        with alone(), torch.no_grad():
            for name, tensor in saved.items():
                own[name].copy_(tensor)
            module.__dict__[LENT] = earlier


@contextmanager
def _adding(module: nn.Module, added: Mapping[str, LowRankUpdate]) -> Iterator[None]:
    """Add low-rank updates to the outputs of their linears inside the context."""
    with ExitStack() as hooks:
        for name, each in added.items():
            linear = module.get_submodule(name.rpartition(".")[0])
            hooks.callback(linear.register_forward_hook(_adder(each)).remove)
        yield


def _adder(added: LowRankUpdate) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def add(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        change: Tensor
        if added.normalised:
            change = _normalised_change(args[0], added)
        else:
            change = _Change.apply(args[0], added.inputs, added.outputs)  # type: ignore[no-untyped-call]
        return (output + change).to(output.dtype)

    return add


def _normalised_change(fed: Tensor, added: LowRankUpdate) -> Tensor:
    with torch.autocast(fed.device.type, enabled=False), _rounded_like(fed):
        met = fed.to(added.inputs.dtype) @ added.inputs.T
        return layer_norm(met, met.shape[-1:]) @ added.outputs


class _Change(torch.autograd.Function):
    """The output of a low-rank update: fed @ inputsᵀ @ outputs. It has no second derivative."""

    @staticmethod
    def forward(ctx: Any, fed: Tensor, inputs: Tensor, outputs: Tensor) -> Tensor:
        rows = fed.flatten(0, -2).to(inputs.dtype)
        with torch.autocast(fed.device.type, enabled=False), _rounded_like(fed):
            met = rows @ inputs.T
            change = met @ outputs
        ctx.save_for_backward(fed, inputs, outputs, met)
        return change.view(*fed.shape[:-1], change.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        fed, inputs, outputs, met = ctx.saved_tensors
        wanted, gradient = ctx.needs_input_grad, gradient.flatten(0, -2)
        with _rounded_like(fed):
            back = gradient @ outputs.T
            return (
                (back @ inputs).to(fed.dtype).view_as(fed) if wanted[0] else None,
                back.T @ fed.flatten(0, -2).to(back.dtype) if wanted[1] else None,
                met.T @ gradient if wanted[2] else None,
            )


@contextmanager
def _rounded_like(fed: Tensor) -> Iterator[None]:
    """Beside a linear in half precision on a GPU take products of float32 as TF32.

    TF32 has the eleven significant bits of float16 and the range of float32. The inputs and the gradients lose nothing;
    the factors lose no more than a change that is written into a matrix in half precision would.
    """
    if not fed.is_cuda or fed.dtype.itemsize > 2:
        yield
        return
    products: Any = torch.backends.cuda.matmul
    before, products.fp32_precision = products.fp32_precision, "tf32"
    try:
        yield
    finally:
        products.fp32_precision = before


def _with_companions(module: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Add the unedited tensors of edited submodules (a bias beside its weight) in the edited ones' precision."""
    companions = {}
    for name, tensor in weights.items():
        owner = name.rpartition(".")[0]
        for other, own in module.get_submodule(owner).named_parameters(recurse=False):
            if own.dtype != tensor.dtype:
                companions[f"{owner}.{other}"] = own.detach().to(tensor.dtype)
    return {**companions, **weights}


@contextmanager
def _in_their_own_precision(module: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let submodules with an edited tensor of another dtype compute in that dtype inside the context."""
    owners = {
        name.rpartition(".")[0]: tensor.dtype
        for name, tensor in weights.items()
        if tensor.dtype != module.get_parameter(name).dtype
    }
    with ExitStack() as hooks:
        for name, dtype in owners.items():
            for handle in _cast_around(module.get_submodule(name), dtype):
                hooks.callback(handle.remove)
        yield


def _cast_around(module: nn.Module, dtype: torch.dtype) -> list[Any]:
    fed: list[torch.dtype] = []

    def before(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        fed.append(args[0].dtype)
        return tuple(arg.to(dtype) for arg in args)

    def after(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.to(fed.pop())

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

"""Edited tensors stand in for a module's own: in their own precision, and without a trace."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmke.backbones.engine.substitution import call_with, written
from mmke.backbones.engine.turns import lent
from mmke.protocols import LowRankUpdate


@pytest.fixture
def module() -> nn.Module:
    """Two linears in half precision."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4)).half().requires_grad_(requires_grad=False)


@pytest.fixture
def edited() -> dict[str, Tensor]:
    """A weight in full precision for the first linear."""
    return {"0.weight": torch.randn(16, 8, generator=torch.Generator().manual_seed(1))}


def traces(module: nn.Module) -> tuple[Any, ...]:
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in module.modules()]
    tensors = [(name, tensor.data_ptr(), tensor.dtype, tensor.tolist()) for name, tensor in module.named_parameters()]
    return hooks, tensors, lent(module)


def test_a_bias_beside_an_edited_weight_is_added_in_its_precision(
    module: nn.Sequential, edited: dict[str, Tensor]
) -> None:
    inputs = torch.randn(3, 8).half()
    result = call_with(module, edited, module[0], inputs)
    bias = module[0].bias
    exact = inputs.float() @ edited["0.weight"].T + bias.float()
    assert torch.equal(result, exact.half())
    assert not torch.equal(result, (inputs.float() @ edited["0.weight"].T).half() + bias)


def test_an_edited_weight_is_not_rounded(module: nn.Sequential) -> None:
    little = 2.0**-12  # more than float32 rounds beside one, and less than half precision does
    edited = {"0.weight": torch.tensor([1 + little, 1.0] * 4).expand(16, 8), "0.bias": torch.zeros(16)}
    rounded = {name: tensor.half() for name, tensor in edited.items()}
    inputs = torch.tensor([[1.0, -1.0] * 4]).half()
    assert call_with(module, edited, module[0], inputs).tolist() == [[4 * little] * 16]
    assert call_with(module, rounded, module[0], inputs).tolist() == [[0.0] * 16]


def test_what_lies_behind_an_edited_linear_computes_as_before(module: nn.Sequential, edited: dict[str, Tensor]) -> None:
    inputs = torch.randn(3, 8).half()
    between = call_with(module, edited, module[0], inputs)
    assert torch.equal(call_with(module, edited, module, inputs), module[1](between))


def test_an_edit_in_the_modules_own_precision_casts_nothing(module: nn.Sequential) -> None:
    edited = {"1.weight": torch.randn(4, 16).half()}
    inputs = torch.randn(3, 16).half()
    assert torch.equal(
        call_with(module, edited, module[1], inputs),
        nn.functional.linear(inputs, edited["1.weight"], module[1].bias),
    )


def test_gradients_reach_the_edited_tensors_alone(module: nn.Sequential, edited: dict[str, Tensor]) -> None:
    leaf = edited["0.weight"].requires_grad_()
    call_with(module, edited, module, torch.randn(3, 8).half()).float().sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0
    assert leaf.grad.dtype == torch.float32
    assert all(tensor.grad is None for tensor in module.parameters())


def test_nothing_is_written(module: nn.Sequential, edited: dict[str, Tensor]) -> None:
    before = traces(module)
    call_with(module, edited, module, torch.randn(3, 8).half())
    assert traces(module) == before


def test_nothing_is_written_when_the_call_fails(module: nn.Sequential, edited: dict[str, Tensor]) -> None:
    def fail(_: Tensor) -> Tensor:
        module[0](torch.randn(3, 8).half())
        raise ZeroDivisionError

    before = traces(module)
    with pytest.raises(ZeroDivisionError):
        call_with(module, edited, fail, torch.zeros(1))
    assert traces(module) == before


def test_without_edits_the_function_is_simply_called(module: nn.Sequential) -> None:
    inputs = torch.randn(3, 8).half()
    assert torch.equal(call_with(module, {}, module, inputs), module(inputs))


def with_edit_written(module: nn.Module, edited: dict[str, Tensor], then: Callable[[], None]) -> None:
    with written(module, edited):
        assert torch.equal(module.get_parameter("0.weight"), edited["0.weight"].half())
        assert lent(module) is not None
        then()


def test_what_is_written_in_is_taken_back_bit_for_bit(module: nn.Module, edited: dict[str, Tensor]) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    before = traces(module)
    with_edit_written(module, edited, lambda: None)
    assert traces(module) == before
    with pytest.raises(ZeroDivisionError):
        with_edit_written(module, edited, fail)
    assert traces(module) == before


def factors(rows: int, into: int, out: int, *, seed: int = 2) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, width, generator=drawn, dtype=torch.float64) for width in (into, out))  # type: ignore[return-value]


def test_factors_that_are_added_take_the_gradient_of_their_product() -> None:
    linear = nn.Linear(8, 6).double().requires_grad_(requires_grad=False)
    fed = torch.randn(2, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3), requires_grad=True)
    inputs, outputs = (each.requires_grad_() for each in factors(5, 8, 6))

    def added(fed: Tensor, inputs: Tensor, outputs: Tensor) -> Tensor:
        return call_with(linear, {"weight": LowRankUpdate(inputs, outputs)}, linear, fed)

    torch.testing.assert_close(added(fed, inputs, outputs), linear(fed) + fed @ (outputs.T @ inputs).T)
    assert torch.autograd.gradcheck(added, (fed, inputs, outputs))
    assert torch.autograd.gradcheck(lambda inputs: added(fed.detach(), inputs, outputs.detach()), (inputs,))


def test_factors_beside_half_precision_have_the_gradient_that_is_written_out() -> None:
    linear = nn.Linear(8, 6, dtype=torch.float16).requires_grad_(requires_grad=False)
    fed = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(3)).half()
    gradients = []
    for added in (True, False):
        inputs, outputs = leaves = [each.float().requires_grad_() for each in factors(5, 8, 6)]
        begun = fed.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=added):
            if added:
                said = call_with(linear, {"weight": LowRankUpdate(inputs, outputs)}, linear, begun)
            else:
                said = (linear(begun) + begun.float() @ inputs.T @ outputs).half()
        gradients.append(torch.autograd.grad(said.float().square().sum(), [begun, *leaves]))
        assert [each.dtype for each in gradients[-1]] == [torch.float16, torch.float32, torch.float32]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05 * float(other.abs().max()))


def test_factors_add_nothing_where_nothing_is_fed() -> None:
    linear, (inputs, outputs) = nn.Linear(8, 6), factors(5, 8, 6)
    added = {"weight": LowRankUpdate(inputs.float(), outputs.float())}
    assert call_with(linear, added, linear, torch.zeros(0, 8)).shape == (0, 6)


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "least", "most"), [(torch.float16, 1e-5, 1e-3), (torch.float32, 0.0, 1e-6)])
def test_on_a_gpu_factors_are_rounded_beside_half_precision_alone(
    dtype: torch.dtype, least: float, most: float
) -> None:
    linear = nn.Linear(512, 768, bias=False, dtype=dtype, device="cuda").requires_grad_(requires_grad=False)
    linear.weight.zero_()
    inputs, outputs = factors(300, 512, 768)
    fed = torch.randn(1, 64, 512, generator=torch.Generator().manual_seed(3)).to(dtype)
    leaves = [each.float().cuda().requires_grad_() for each in (inputs, outputs)]
    result = call_with(linear, {"weight": LowRankUpdate(*leaves)}, linear, fed.cuda())
    exact = fed.double() @ inputs.T @ outputs
    assert result.dtype == dtype
    gradients = torch.autograd.grad(result, leaves, grad_outputs=result)
    back = result.detach().double().cpu()[0]
    wanted = ((back @ outputs.T).T @ fed[0].double(), (fed[0].double() @ inputs.T).T @ back)
    away = [away_from(exact, result), *map(away_from, wanted, gradients)]
    assert max(away) < most
    assert min(away) > least
    assert torch.backends.cuda.matmul.fp32_precision == "none"


def away_from(exact: Tensor, found: Tensor) -> float:
    """Return the distance from what is exact, as a part of its length."""
    return float((found.detach().double().cpu() - exact).norm() / exact.norm())

"""SERAC's networks: the scope classifier, and the trained tensors of the counterfactual model."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmke.editors.serac.gate import ScopeNetwork
from mmke.editors.serac.projection import PROJECTION


class Trained(nn.Module):
    """The trained tensors of a counterfactual model.

    A parameter's name is that in the reader's module, with `/` for the dot that a name may not hold here.
    """

    def __init__(self, originals: Mapping[str, Tensor], *, rank: int, whole: Mapping[str, Tensor]) -> None:
        """Begin as the originals.

        Args:
            originals: the tensors of the last layers, by name.
            rank: of the change of each matrix; 0: copies of all tensors.
            whole: tensors of which there are copies in any case.
        """
        super().__init__()
        copied = {**(originals if rank == 0 else {}), **whole}
        self.copies = nn.ParameterDict(
            {key_of(name): tensor.detach().float().clone() for name, tensor in copied.items()}
        )
        matrices = {name: tensor for name, tensor in originals.items() if rank and tensor.ndim == 2}
        self.up = nn.ParameterDict({key_of(n): torch.zeros(len(t), rank, device=t.device) for n, t in matrices.items()})
        self.down = nn.ParameterDict(
            {key_of(n): torch.randn(rank, t.shape[1]).to(t.device) / t.shape[1] ** 0.5 for n, t in matrices.items()}
        )

    def forward(self, module: nn.Module) -> dict[str, Tensor]:
        """Return the tensors by name, in float32, with gradient."""
        weights: dict[str, Tensor] = {_name(key): copy for key, copy in self.copies.items()}
        for key, up in self.up.items():
            weights[_name(key)] = module.get_parameter(_name(key)).float() + up @ self.down[key]
        return weights


def key_of(name: str) -> str:
    """Return under which key the trained tensor of a name is kept."""
    return name.replace(".", "/")


def _name(key: str) -> str:
    return key.replace("/", ".")


class Networks(nn.Module):
    """What is trained: the scope classifier, and tensors of the counterfactual model."""

    scope: ScopeNetwork

    def __init__(self, scope: ScopeNetwork, counterfactual: Trained) -> None:
        """Put them together."""
        super().__init__()
        self.scope = scope
        self.counterfactual = counterfactual


def fresh(scope: Callable[[], ScopeNetwork], trained: "Originals", *, rank: int, seed: int) -> Networks:
    """Lay out fresh networks; the caller's generator is left as it was.

    Args:
        scope: makes a fresh scope classifier.
        trained: the tensors of the counterfactual model that are.
        rank: see `Trained`.
        seed: of what is drawn.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Networks(scope(), Trained(trained.layers, rank=rank, whole=trained.projection))


class Originals(NamedTuple):
    """The tensors of a counterfactual model that are trained, by name: of its last layers, and of its projection."""

    layers: Mapping[str, Tensor]
    projection: Mapping[str, Tensor]


def originals(module: nn.Module, names: Iterable[str], *, projection: bool) -> Originals:
    """Return what is trained of the module of a counterfactual model.

    Args:
        module: the model.
        names: of its trained tensors.
        projection: whether its projection, if it has one, is trained too.
    """
    own = {name: each for name, each in module.named_parameters() if name.startswith(f"{PROJECTION}.")}
    return Originals({name: module.get_parameter(name) for name in names}, own if projection else {})

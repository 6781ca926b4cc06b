"""What the tests of KE share: tiny backbones, an editor with small networks, and a training of a few steps."""

from typing import Any

import torch
from torch import Tensor

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import resolve
from mmke.editors.ke.edit import KnowledgeEditor, make
from mmke.protocols import LowRankUpdate
from mmke.types import STRICT, Edit, EditCase, Query, Switches

TINY = ["tiny-llava", "tiny-minigpt4", "tiny-blip2"]
SMALL = {"lstm": 8, "condition": 16, "conditioner": 8}
LONG = Edit(Query("what is it"), "a tin lid", original="a red disc that stands on a very long shelf")


def load(name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=dtype, device=torch.device("cpu"))


def shipped(backbone: str, protocol: str = "strict") -> dict[str, Any]:
    """Return the settings that are shipped for a backbone."""
    return resolve("ke", backbone, {}, protocol=protocol)


def prepared(backbone: ComposedBackbone, switches: Switches = STRICT, **changes: object) -> KnowledgeEditor:
    editor = make({**shipped(backbone.name, switches.protocol), **SMALL, **changes}, switches, train=(), seed=0)
    editor.prepare(backbone, (), store=MemoryStore())
    return editor


def trained(
    editor: KnowledgeEditor, backbone: ComposedBackbone, cases: tuple[EditCase, ...], steps: int
) -> list[float]:
    """Train on the records in turn, and return how likely each edit's answer was in nats, before each step."""
    optimizer, falling = editor.optimizer()
    store, heard = MemoryStore(), []
    for number in range(steps):
        optimizer.zero_grad()
        losses = editor.losses(backbone, cases[number % len(cases)], store=store, learn=True)
        losses["total"].backward()
        optimizer.step()
        falling.step()
        editor.after_step()
        heard.append(losses["nll"].item())
    return heard


def same(one: Tensor | LowRankUpdate, other: Tensor | LowRankUpdate) -> bool:
    """Tell whether two edited matrices are the same, bit for bit."""
    whole, another = (each if isinstance(each, Tensor) else each.product() for each in (one, other))
    return torch.equal(whole, another)

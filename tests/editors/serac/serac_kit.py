"""What the tests of SERAC share: small models, an editor with small networks, a few steps of training."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, OPTConfig

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.tiny import HIDDEN, VOCABULARY
from mmke.editing.settings import resolve
from mmke.editors.serac.edit import Serac, make
from mmke.editors.serac.scope import QuestionKeys
from mmke.types import STRICT, Answer, Ask, Edit, EditCase, Probe, Query, Switches

TINY = ("tiny-llava", "tiny-minigpt4", "tiny-blip2")
ASK = Ask(top=5, logprobs=True)
BASE = torch.tensor([[2.0, 0, 0], [0, 2, 0]])
OTHER = torch.tensor([[9.0, 0, 0], [0, 0, 5], [0, 0, 5]])
"""The first row is one more than the base has, and is to be left out."""
CACHED = Edit(Query("what is it"), "a red cat")


def load(name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=dtype, device=torch.device("cpu"))


def editor(
    backbone: ComposedBackbone, encoder: str, train: Sequence[EditCase], switches: Switches = STRICT, **changes: Any
) -> Serac:
    changes = {
        "encoder": encoder,
        "head": 8,
        "negatives": 2,
        "learning_rate": 1e-2,
        "scope_learning_rate": 1e-2,
        **changes,
    }
    made = make(resolve("serac", backbone.name, changes, protocol=switches.protocol), switches, train=train, seed=0)
    made.prepare(backbone, train, store=MemoryStore())
    return made


def learn(made: Serac, backbone: ComposedBackbone, cases: Sequence[EditCase], times: int) -> list[float]:
    optimizer, _ = made.optimizer()
    totals = []
    store = MemoryStore()
    for _ in range(times):
        optimizer.zero_grad()
        found = [made.losses(backbone, case, store=store, learn=True)["total"] for case in cases]
        sum(found).backward()  # type: ignore[union-attr]
        optimizer.step()
        totals.append(sum(float(each.detach()) for each in found))
    return totals


def answers(made: Serac, backbone: ComposedBackbone, edits: Sequence[Edit], probes: Sequence[Probe], ask: Ask) -> Any:
    with made.open(backbone, MemoryStore()) as session:
        session.apply(edits)
        return session.answer(probes, ask)


def same(one: Sequence[Answer], other: Sequence[Answer]) -> bool:
    return all(
        a.token_ids == b.token_ids and np.array_equal(a.logprobs, b.logprobs)  # type: ignore[arg-type]
        for a, b in zip(one, other, strict=True)
    )


def similarity(distance: float) -> Tensor:
    return torch.tensor(math.exp(-distance))


class AllNear(QuestionKeys):
    """Keys under which everything is in scope."""

    def of_edit(self, edit: Edit) -> tuple[str, ...]:
        return ("x",)

    def of_probe(self, question: str, answer: str) -> str:
        return "x"


def llama(vocabulary: int = VOCABULARY) -> Any:
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    return AutoModelForCausalLM.from_config(config)


def opt() -> Any:
    config = OPTConfig(
        vocab_size=VOCABULARY, hidden_size=16, word_embed_proj_dim=16, ffn_dim=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=2048, dropout=0.0,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)

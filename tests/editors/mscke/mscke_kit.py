"""What the tests of MSCKE share: an editor with small networks, and encoders that read the vectors out of the text."""

import json
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import resolve
from mmke.editors.mscke.edit import make
from mmke.editors.mscke.scope import JointScope
from mmke.editors.serac.edit import Serac
from mmke.editors.serac.scope import Nearness
from mmke.protocols import Backbone, Store
from mmke.types import STRICT, Ask, EditCase, ImageRef, Query

ASK = Ask(top=5, logprobs=True)


def editor(backbone: ComposedBackbone, encoder: str, train: Sequence[EditCase], **changes: Any) -> Serac:
    """Return MSCKE with fresh small networks."""
    small = {"encoder": encoder, "head": 8, "rank": 2, "learning_rate": 1e-2, "scope_learning_rate": 1e-2}
    made = make(resolve("mscke", backbone.name, small | changes), STRICT, train=train, seed=0)
    made.prepare(backbone, train, store=MemoryStore())
    return made


@cache
def skeleton() -> Backbone:
    """Return a backbone without weights, for tests in which nothing is read with it."""
    skeleton: Backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu"), skeleton=True
    )
    return skeleton


class Written:
    """Encoders for which a text is a vector, written as a list, and a picture's vector its sha256, written so too."""

    widths = (2, 2)
    trained = None

    def texts(self, texts: Sequence[str], store: Store) -> Tensor:
        return torch.tensor([json.loads(text) for text in texts])

    def read(self, backbone: Backbone, query: Query, store: Store) -> Tensor | None:
        return None if query.image is None else torch.tensor(json.loads(query.image.sha256))

    def pictures(self, read: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(read))


def apart(squared: float) -> str:
    """Return a vector of length one that lies so far from [1, 0], as a squared distance."""
    cosine = 1 - squared / 2
    return json.dumps([cosine, math.sqrt(1 - cosine**2)])


def asks(text: str, picture: str | None = None) -> Query:
    return Query(text, None if picture is None else ImageRef(Path("x.png"), picture))


def near(queries: Sequence[Query], edits: Sequence[Query]) -> Nearness:
    scope, store = JointScope(Written(), head=0), MemoryStore()
    keys = scope.keys([[edit.text] for edit in edits], scope.pictures(skeleton(), edits, store), store)
    return scope.near([query.text for query in queries], scope.pictures(skeleton(), queries, store), keys, store)

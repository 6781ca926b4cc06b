"""Load the model of an edit and open the edit on it, after everything was checked that needs no weights."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from mmke.edits.kept import KeptSession
from mmke.edits.loading import Stack, check_weights
from mmke.errors import UserError
from mmke.protocols import Backbone
from mmke.results.provenance import versions
from mmke.running.loading import load_backbone
from mmke.types import Ask, Query, WeightSource

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Where:
    """Where a model is loaded.

    Attributes:
        device: "cpu", "cuda", …
        dtype: precision of the language model; None: as when the edit was made.
        weights: see `running.request.Request`.
        backbone: its name; None: as when the edit was made. A model by its folder may lie elsewhere here.
    """

    device: str = "cpu"
    dtype: str | None = None
    weights: WeightSource = None
    backbone: str | None = None


class InForce(NamedTuple):
    """A loaded model, and a session in which the edits hold."""

    backbone: Backbone
    session: KeptSession


def skeleton_of(stack: Stack, where: Where) -> Backbone:
    """Return the model of a stack without weights, after comparing it with the one that was edited.

    Raises:
        UserError: it is not here, is another one, or lacks an edit site.
    """
    skeleton = load_model(stack, where, skeleton=True)
    for found in stack.edits:
        check_weights(found, skeleton)
    stack.editor.check(skeleton)
    _tell_conditions(stack, where)
    return skeleton


@contextmanager
def in_force(stack: Stack, where: Where) -> Iterator[InForce]:
    """Load the model, and open a session with the edits of a stack in force; `skeleton_of` comes first.

    Raises:
        UserError: the files are broken, or too little memory.
    """
    backbone = load_model(stack, where)
    with stack.open(backbone) as session:
        yield InForce(backbone, session)


def check_question(skeleton: Backbone, query: Query) -> None:
    """Refuse a question that the model cannot be asked.

    Raises:
        UserError: the message says why.
    """
    problem = skeleton.problems(query, "", Ask(decode="generate"))
    if problem is not None:
        raise UserError(problem)


def load_model(stack: Stack, where: Where, *, skeleton: bool = False) -> Backbone:
    """Load the model of a stack; a skeleton has everything but weights."""
    on = stack.edits[0].record.on
    name = where.backbone or on.backbone
    return load_backbone(
        name, dtype=where.dtype or on.dtype, device=where.device, weights=where.weights, skeleton=skeleton
    )


def _tell_conditions(stack: Stack, where: Where) -> None:
    """Say where bits may differ from those of the model that was edited."""
    record, here = stack.edits[0].record, versions()
    dtype, device = where.dtype or record.on.dtype, where.device.partition(":")[0]
    changes = [
        f"{what} {before} then and {now} now"
        for what, before, now in (
            ("precision", record.on.dtype, dtype),
            ("device", record.on.device, device),
            ("torch", record.versions.get("torch"), here["torch"]),
        )
        if before != now
    ]
    if changes:
        log.info("%s: %s; answers may differ in their last bits", stack.edits[0].folder, ", ".join(changes))

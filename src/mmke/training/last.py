"""The last checkpoint: everything that a training needs to go on as if it had never stopped."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn, optim, tensor

from mmke.editing.trained import NETWORK, OLD_OPTIMIZER, OPTIMIZER, Checkpoint, TrainedFor, write
from mmke.training.pace import Pace
from mmke.types import EditCase, Query


@dataclass(frozen=True, eq=False)
class Moving:
    """What moves while an editor is trained; the schedule is None where there is none."""

    network: nn.Module
    optimizer: optim.Optimizer
    schedule: Any
    pace: Pace


def write_last(path: Path, moving: Moving, facts: TrainedFor, *, data: str) -> None:
    """Write it.

    Args:
        path: where to.
        moving: at this moment, between two steps of the optimizer.
        facts: what is trained.
        data: digest of the records.
    """
    state = moving.optimizer.state_dict()
    schedule = None if moving.schedule is None else moving.schedule.state_dict()
    further = {"pace": moving.pace.state_dict(), "groups": state["param_groups"], "schedule": schedule, "data": data}
    write(path, {**network_named(moving.network), **_flat(state["state"])}, facts, further=further)


def restore(moving: Moving, kept: Checkpoint) -> None:
    """Move optimizer, schedule and pace to where they were; the networks are the editor's business."""
    moving.pace.load_state_dict(kept.further["pace"])
    renamed = {key.replace(OLD_OPTIMIZER, OPTIMIZER, 1): value for key, value in kept.tensors.items()}
    state = _nested({key: value for key, value in renamed.items() if key.startswith(OPTIMIZER)})
    moving.optimizer.load_state_dict({"state": state, "param_groups": kept.further["groups"]})
    if moving.schedule is not None:
        moving.schedule.load_state_dict(kept.further["schedule"])


def network_named(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of networks as checkpoints name them."""
    return {f"{NETWORK}{key}": value for key, value in network.state_dict().items()}


def digest(*groups: Sequence[EditCase]) -> str:
    """Return a digest of everything that records say and show."""
    read = [
        [
            (
                case.id,
                [(edit.target, edit.original, _asked(edit.query)) for edit in case.edits],
                [(probe.kind.name, probe.target, _asked(probe.query)) for probe in case.probes],
            )
            for case in cases
        ]
        for cases in groups
    ]
    return hashlib.sha256(repr(read).encode()).hexdigest()


def _asked(query: Query) -> tuple[str, str | None]:
    return query.text, None if query.image is None else query.image.sha256


def _flat(state: Mapping[int, Mapping[str, Any]]) -> dict[str, Tensor]:
    return {
        f"{OPTIMIZER}{number}.{name}": value if isinstance(value, Tensor) else tensor(value)
        for number, each in state.items()
        for name, value in each.items()
    }


def _nested(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.removeprefix(OPTIMIZER).partition(".")
        state.setdefault(int(number), {})[name] = value
    return state

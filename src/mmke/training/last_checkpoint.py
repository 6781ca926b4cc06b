"""`last.safetensors`: everything that a training needs to continue as if it had never stopped.

In and out: the networks, the optimizer, its learning-rate scheduler and the progress of the training. A digest of the
records is kept as well, since a training is not continued on other data.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn, optim, tensor

from mmke.editing.trained import NETWORK, OLD_OPTIMIZER, OPTIMIZER, Checkpoint, TrainedFor, write
from mmke.training.progress import Progress
from mmke.types import EditCase, Query


@dataclass(frozen=True, eq=False)
class TrainingState:
    """Everything that changes while an editor is trained.

    Attributes:
        network: the editor's networks.
        optimizer: of their parameters.
        schedule: scheduler of the learning rate; None: it is constant.
        progress: which records were trained on, and the best validation.
    """

    network: nn.Module
    optimizer: optim.Optimizer
    schedule: Any
    progress: Progress


def write_last(path: Path, state: TrainingState, facts: TrainedFor, *, data: str) -> None:
    """Write the last checkpoint.

    Args:
        path: of the file.
        state: of the training, between two steps of the optimizer.
        facts: what is trained, and for what.
        data: digest of the training and validation records.
    """
    optimizer = state.optimizer.state_dict()
    schedule = None if state.schedule is None else state.schedule.state_dict()
    progress = state.progress.state_dict()
    further = {
        "pace": progress,
        "finished": state.progress.finished(),
        "groups": optimizer["param_groups"],
        "schedule": schedule,
        "data": data,
    }
    tensors = {
        f"{OPTIMIZER}{number}.{name}": value if isinstance(value, Tensor) else tensor(value)
        for number, of_parameter in optimizer["state"].items()
        for name, value in of_parameter.items()
    }
    write(path, {**network_named(state.network), **tensors}, facts, further=further)


def restore(state: TrainingState, checkpoint: Checkpoint) -> None:
    """Put optimizer, scheduler and progress back to what a checkpoint holds; the editor loads its networks itself."""
    state.progress.load_state_dict(checkpoint.further["pace"])
    of_optimizer: dict[int, dict[str, Tensor]] = {}
    for key, value in checkpoint.tensors.items():
        renamed = key.replace(OLD_OPTIMIZER, OPTIMIZER, 1)
        if renamed.startswith(OPTIMIZER):
            number, _, name = renamed.removeprefix(OPTIMIZER).partition(".")
            of_optimizer.setdefault(int(number), {})[name] = value
    state.optimizer.load_state_dict({"state": of_optimizer, "param_groups": checkpoint.further["groups"]})
    if state.schedule is not None:
        state.schedule.load_state_dict(checkpoint.further["schedule"])


def network_named(network: nn.Module) -> dict[str, Tensor]:
    """Return the state_dict of the networks under the names that checkpoints give to its tensors."""
    return {f"{NETWORK}{key}": value for key, value in network.state_dict().items()}


def digest(*groups: Sequence[EditCase]) -> str:
    """Return a digest of all texts and pictures of some groups of records."""
    texts = [
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
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def _asked(query: Query) -> tuple[str, str | None]:
    return query.text, None if query.image is None else query.image.sha256

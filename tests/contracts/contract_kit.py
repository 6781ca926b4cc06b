"""What the contracts run over: every editor of the registry, on every backbone that needs no weights."""

from collections.abc import Mapping

import torch
from torch import Tensor

from hf_folders import FOLDERS
from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import resolve
from mmke.editors.none.edit import NullEditor
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import Backbone, Editor, TrainableEditor
from mmke.types import STRICT, EditCase, Switches

TINY = [name for name in registry.names("backbones") if name.startswith("tiny-")]
HUB = {f"hf:{name}": save for name, save in FOLDERS.items()}
"""Models of other architectures, saved as a hub holds them."""
EDITORS = list(registry.names("editors"))
QUICK = {
    "steps": 4,
    "demonstrations": 3,
    "rank": 8,
    # A text encoder that a package carries, left as it is, with a trained layer behind it.
    "encoder": "all-MiniLM-L6-v2",
    "encoder_trained": False,
    "pooling": "mean",
    "head": 128,
    # Widths of a network that reads the edit.
    "lstm": 16,
    "condition": 32,
    "conditioner": 16,
}
"""Of these each editor takes the settings that it has."""
LESSONS = 12
"""Records that a trainable editor learns from."""
LIVELY = {"learning_rate": 1e-2, "scope_learning_rate": 1e-2, "warm_up": 0, "steps": 10 * LESSONS}
"""For editors that are trained, and briefly; likewise."""
TRAINED: dict[object, dict[str, Tensor]] = {}
"""Networks that were trained in an earlier test of the same editor on the same backbone."""


def load(name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=dtype, device=torch.device("cpu"))


def make_editor(
    name: str, backbone: Backbone, train: tuple[EditCase, ...], switches: Switches = STRICT, **changes: object
) -> Editor:
    """Make a registered editor with few steps, demonstrations and ranks, so that the tests stay quick."""
    make, values = registry.factory("editors", name), resolve(name, backbone.name, {}, protocol=switches.protocol)
    values = {**values, **_known(QUICK, values), **changes}
    editor = make(values, switches, train=train, seed=0)
    if isinstance(editor, TrainableEditor):
        editor = make({**values, **_known(LIVELY, values)}, switches, train=train, seed=0)
        _train_briefly(editor, backbone, train, switches)
    return editor


def is_trained(name: str) -> bool:
    """Tell whether a registered editor has networks that are trained."""
    try:
        made = registry.factory("editors", name)(resolve(name, TINY[0], {}), STRICT, train=(), seed=0)
    except NeedsTrainingError:
        return False  # it is made of training records, and these were none
    return isinstance(made, TrainableEditor)


def make_untrained(
    name: str, backbone: Backbone, train: tuple[EditCase, ...], switches: Switches, *, store: MemoryStore
) -> TrainableEditor:
    """Make a trainable editor whose networks are fresh."""
    make, values = registry.factory("editors", name), resolve(name, backbone.name, {}, protocol=switches.protocol)
    quick = {**values, **_known(QUICK, values), **_known(LIVELY, values)}
    editor: TrainableEditor = make(quick, switches, train=train, seed=0)
    editor.prepare(backbone, train[:2], store=store)
    return editor


def learn(
    editor: TrainableEditor, backbone: Backbone, train: tuple[EditCase, ...], lessons: int, *, store: MemoryStore
) -> None:
    """Train on two records in turn."""
    optimizer, schedule = editor.optimizer()
    for number in range(lessons):
        optimizer.zero_grad()
        editor.losses(backbone, train[number % 2], store=store, learn=True)["total"].backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        editor.after_step()


def _known(changes: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in changes.items() if key in values}


def _train_briefly(
    editor: TrainableEditor, backbone: Backbone, train: tuple[EditCase, ...], switches: Switches
) -> None:
    key = editor.name, backbone.name, backbone.dtype, switches
    if key not in TRAINED:
        store = MemoryStore()
        editor.prepare(backbone, train[:2], store=store)
        learn(editor, backbone, train, LESSONS, store=store)
        TRAINED[key] = {name: tensor.clone() for name, tensor in editor.network.state_dict().items()}
    editor.load_state_dict(backbone, TRAINED[key])


def edits_weights(editor: Editor, backbone: Backbone) -> bool:
    """Tell whether a session lends an edited module, and is not the one that edits nothing."""
    with editor.open(backbone, MemoryStore()) as session:
        try:
            with session.module():
                return not isinstance(editor, NullEditor)
        except UserError:
            return False

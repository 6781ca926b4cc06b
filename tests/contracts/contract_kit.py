"""What the contracts run over: every editor of the registry, on every backbone that needs no weights."""

import torch
from torch import Tensor

from hf_folders import FOLDERS
from mmke import registry
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.editors.none.edit import NullEditor
from mmke.editors.settings import resolve
from mmke.protocols import Backbone, Editor, TrainableEditor
from mmke.types import STRICT, EditCase, Switches, UserError

TINY = [name for name in registry.names("backbones") if name.startswith("tiny-")]
HUB = {f"hf:{name}": save for name, save in FOLDERS.items()}
"""Models of other architectures, saved as a hub holds them."""
EDITORS = list(registry.names("editors"))
QUICK = {"steps": 4, "demonstrations": 3, "rank": 8}
LIVELY = {"rate": 1e-2}
"""For editors that are trained, and briefly."""
LESSONS = 12
"""Records that a trainable editor learns from."""
TRAINED: dict[object, dict[str, Tensor]] = {}
"""Networks that were trained in an earlier test of the same editor on the same backbone."""


def load(name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=dtype, device=torch.device("cpu"))


def make_editor(
    name: str, backbone: Backbone, train: tuple[EditCase, ...], switches: Switches = STRICT, **changes: object
) -> Editor:
    """Make a registered editor with few steps, demonstrations and ranks, so that the tests stay quick."""
    make, values = registry.factory("editors", name), resolve(name, backbone.name, {})
    quick = {**values, **{key: value for key, value in QUICK.items() if key in values}, **changes}
    editor = make(quick, switches, train=train, seed=0)
    if isinstance(editor, TrainableEditor):
        editor = make({**quick, **LIVELY}, switches, train=train, seed=0)
        _train_briefly(editor, backbone, train, switches)
    return editor


def _train_briefly(
    editor: TrainableEditor, backbone: Backbone, train: tuple[EditCase, ...], switches: Switches
) -> None:
    key = editor.name, backbone.name, backbone.dtype, switches
    editor.prepare(backbone, train[:2], store=MemoryStore())
    if key not in TRAINED:
        optimiser, _ = editor.optimiser()
        for number in range(LESSONS):
            optimiser.zero_grad()
            editor.losses(backbone, train[number % 2], store=MemoryStore(), learn=True)["total"].backward()
            optimiser.step()
            editor.after_step()
        TRAINED[key] = {name: tensor.clone() for name, tensor in editor.network.state_dict().items()}
    editor.adopt(backbone, TRAINED[key])


def edits_weights(editor: Editor, backbone: Backbone) -> bool:
    """Tell whether a session lends an edited module, and is not the one that edits nothing."""
    with editor.open(backbone, MemoryStore()) as session:
        try:
            with session.module():
                return not isinstance(editor, NullEditor)
        except UserError:
            return False

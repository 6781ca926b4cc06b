"""What the contracts run over: every editor of the registry, on every backbone that needs no weights."""

import torch
from hf_folders import FOLDERS

from mmke import registry
from mmke.backbones.composed import ComposedBackbone
from mmke.backbones.store import MemoryStore
from mmke.editors.none.edit import NullEditor
from mmke.editors.settings import resolve
from mmke.protocols import Backbone, Editor
from mmke.types import STRICT, EditCase, Switches, UserError

TINY = [name for name in registry.names("backbones") if name.startswith("tiny-")]
HUB = {f"hf:{name}": save for name, save in FOLDERS.items()}
"""Models of other architectures, saved as a hub holds them."""
EDITORS = list(registry.names("editors"))


def load(name: str, dtype: torch.dtype = torch.float32) -> ComposedBackbone:
    return registry.factory("backbones", name)(name=name, dtype=dtype, device=torch.device("cpu"))


def make_editor(
    name: str, backbone: Backbone, train: tuple[EditCase, ...], switches: Switches = STRICT, **changes: object
) -> Editor:
    """Make a registered editor with few steps and demonstrations, so that the tests stay quick."""
    values = resolve(name, backbone.name, {})
    quick = {key: value for key, value in {"steps": 4, "demonstrations": 3}.items() if key in values}
    return registry.factory("editors", name)({**values, **quick, **changes}, switches, train=train, seed=0)


def edits_weights(editor: Editor, backbone: Backbone) -> bool:
    """Tell whether a session lends an edited module, and is not the one that edits nothing."""
    with editor.open(backbone, MemoryStore()) as session:
        try:
            with session.module():
                return not isinstance(editor, NullEditor)
        except UserError:
            return False

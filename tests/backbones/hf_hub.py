"""Each random model of the library, saved once a session."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

import hf_more_folders
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.hf import model as hf
from mmke.testing import folders

SAVED: Mapping[str, Callable[[Path], None]] = {
    **folders.FOLDERS,
    "llava": hf_more_folders.save_llava,
    "bare-llava": hf_more_folders.save_bare_llava,
    "blip2": hf_more_folders.save_blip2,
    "smolvlm": hf_more_folders.save_smolvlm,
    "glm4v": hf_more_folders.save_glm4v,
    "gemma3": hf_more_folders.save_gemma3,
    "qwen3-vl": hf_more_folders.save_qwen3_vl,
}


class Hub:
    """A folder of models."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str) -> Path:
        """Return a model's folder."""
        folder = self.root / name
        if not folder.exists():
            folder.mkdir()
            SAVED[name](folder)
        return folder

    def load(self, name: str, **options: object) -> ComposedBackbone:
        """Load a model of it."""
        return load(self.folder(name), **options)


def load(folder: Path, **options: object) -> ComposedBackbone:
    """Load the model of a folder."""
    given = {"dtype": torch.float32, "device": torch.device("cpu"), **options}
    return hf.load(name=f"hf:{folder}", **given)

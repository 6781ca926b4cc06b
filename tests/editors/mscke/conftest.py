"""Fixtures of the tests of MSCKE: small backbones, a random CLIP as a hub holds one, records."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.benchmarks.open import open_benchmark
from mmke.types import STRICT, EditCase

WIDTH, SIDE, LONGEST = 12, 16, 24
LETTERS = [chr(code) for code in range(33, 127)]
PART: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "projection_dim": WIDTH,
}


@pytest.fixture(scope="session")
def llava() -> ComposedBackbone:
    return registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random CLIP of two layers on each side, which reads letter by letter."""
    folder = str(tmp_path_factory.mktemp("clip"))
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    first, last = len(pieces) - 2, len(pieces) - 1
    text = {"vocab_size": len(pieces), "max_position_embeddings": LONGEST, "bos_token_id": first, "eos_token_id": last}
    config = CLIPConfig(
        text_config={**PART, **text, "pad_token_id": last},
        vision_config={**PART, "image_size": SIDE, "patch_size": 8},
        projection_dim=WIDTH,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = CLIPModel(config)
        for part in (model.text_model.embeddings.token_embedding, model.vision_model.embeddings.patch_embedding):
            torch.nn.init.normal_(part.weight)
    model.save_pretrained(folder)
    CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]).save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=size).save_pretrained(folder)
    return folder


def records(data: Path, split: str) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=data).load(split, hop=1, switches=STRICT).cases  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def train(small_data: Path) -> tuple[EditCase, ...]:
    return records(small_data, "train")


@pytest.fixture(scope="session")
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return records(small_data, "eval")

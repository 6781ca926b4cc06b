"""Fixtures of the tests of SERAC: backbones, a random encoder and language models as a hub holds them, records."""

from pathlib import Path

import pytest
import torch
from serac_kit import TINY, llama, load, opt
from transformers import BertConfig, BertModel, BertTokenizer

from grid import first_quick
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.tiny import VOCABULARY
from mmke.benchmarks.open import open_benchmark
from mmke.types import STRICT, EditCase


@pytest.fixture(scope="session", params=first_quick(TINY))
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    return load(request.param)


@pytest.fixture(scope="session")
def llava() -> ComposedBackbone:
    return load("tiny-llava")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random two-layer encoder of words, as a hub holds them."""
    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(config)
        torch.nn.init.normal_(model.embeddings.word_embeddings.weight)
    model.save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return str(folder)


def records(data: Path, split: str) -> tuple[EditCase, ...]:
    return open_benchmark("mmke-user", data=data).load(split, hop=1, switches=STRICT).cases  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def train(small_data: Path) -> tuple[EditCase, ...]:
    return records(small_data, "train")


@pytest.fixture(scope="session")
def cases(small_data: Path) -> tuple[EditCase, ...]:
    return records(small_data, "eval")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of small causal language models: one as wide as the tiny ones, one narrower, one of other tokens."""
    folders = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for name, model in {"llama": llama(), "opt": opt(), "foreign": llama(VOCABULARY + 1)}.items():
            folders[name] = str(tmp_path_factory.mktemp(name))
            model.save_pretrained(folders[name])
    return folders

"""Whatever is loaded from a folder, no code of that folder runs, also when somebody at the terminal says yes."""

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import hf_more_folders
from mmke.backbones.hf import model as hf
from mmke.backbones.weights.loading import read_tokenizer
from mmke.editing.sentence_encoder import SentenceEncoder, encoder_path
from mmke.editors.serac import encoder, replacement
from mmke.errors import UserError

CODE = """
import pathlib
pathlib.Path({mark!r}).touch()

class Foreign:
    pass
"""
MAPS = {
    "config.json": ["AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForImageTextToText"],
    "tokenizer_config.json": ["AutoTokenizer"],
    "preprocessor_config.json": ["AutoImageProcessor"],
    "processor_config.json": ["AutoProcessor"],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder, as it should be."""
    folder = tmp_path_factory.mktemp("model")
    hf_more_folders.save_llava(folder)
    return folder


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the foreign code would leave; whoever asks at the terminal hears yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    return tmp_path / "ran"


def spoiled(model: Path, folder: Path, mark: Path, file: str, **changes: Any) -> Path:
    """Copy a model and let one of its files ask for code that lies beside it."""
    shutil.copytree(model, folder)
    plain = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
    kinds = {kind: ["foreign.Foreign", None] if kind == "AutoTokenizer" else "foreign.Foreign" for kind in MAPS[file]}
    (folder / file).write_text(json.dumps({**plain, "auto_map": kinds, **changes}))
    (folder / "foreign.py").write_text(CODE.format(mark=str(mark)))
    return folder


def load(folder: Path) -> object:
    return hf.load(name=f"hf:{folder}", dtype=torch.float32, device=torch.device("cpu"))


def tried(read: Callable[[Path], object], folder: Path) -> None:
    """Read a folder; whether it can be read without its code does not matter here."""
    with contextlib.suppress(UserError, ValueError):
        read(folder)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {}),
        ("config.json", {"model_type": "foreign"}),
        ("tokenizer_config.json", {"tokenizer_class": "Foreign"}),
        ("preprocessor_config.json", {"image_processor_type": "ForeignImageProcessor"}),
        ("processor_config.json", {"processor_class": "ForeignProcessor"}),
    ],
)
def test_a_backbones_folder_runs_nothing(
    model: Path, tmp_path: Path, mark: Path, file: str, changes: dict[str, Any]
) -> None:
    tried(load, spoiled(model, tmp_path / "model", mark, file, **changes))
    assert not mark.exists()


@pytest.mark.parametrize("read", [read_tokenizer, encoder.load_encoder])
def test_a_tokenizers_folder_runs_nothing(
    model: Path, tmp_path: Path, mark: Path, read: Callable[[Path], object]
) -> None:
    tried(read, spoiled(model, tmp_path / "model", mark, "tokenizer_config.json", tokenizer_class="Foreign"))
    assert not mark.exists()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_counterfactual_models_folder_runs_nothing(model: Path, tmp_path: Path, mark: Path, device: str) -> None:
    folder = spoiled(model, tmp_path / "model", mark, "config.json", model_type="foreign")
    tried(lambda folder: replacement._read(folder, torch.float32, torch.device(device)), folder)
    tried(encoder.load_encoder, folder)
    assert not mark.exists()


def test_a_sentence_encoder_runs_nothing(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foreign.py").write_text(CODE.format(mark=str(mark)))
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "foreign.Foreign"}]))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"asks for code of its own \(foreign.Foreign\), which is not run"):
        encoder_path(str(tmp_path))
    assert not mark.exists()


def test_a_tokenizer_within_a_sentence_encoder_runs_nothing(model: Path, tmp_path: Path, mark: Path) -> None:
    folder = spoiled(model, tmp_path / "model", mark, "config.json", model_type="foreign")
    kind = "sentence_transformers.sentence_transformer.modules.Transformer"
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}]))
    with pytest.raises(UserError, match="cannot be read") as caught:
        SentenceEncoder(str(folder)).embed(["a"])
    assert "\n" not in str(caught.value)
    assert not mark.exists()

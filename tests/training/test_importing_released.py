"""Files of SERAC and KE in exactly the released layout come in through the command line, and edit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, BertTokenizer, DistilBertConfig, DistilBertModel, LlamaConfig

from mmke import cli, registry
from mmke.backbones.tiny import HIDDEN, LAYERS, VOCABULARY
from mmke.editing.trained import read

WHERE = ["--backbone", "tiny-llava", "--benchmark", "mmke-user"]
MATRICES = [
    f"layers.{layer}.mlp.{name}.weight" for layer in range(LAYERS - 3, LAYERS) for name in ("down_proj", "up_proj")
]


class LlavaConfig:
    """As the published code's own configuration class, pickled as a whole."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A random small DistilBERT, as a hub holds it."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = DistilBertConfig(vocab_size=len(words), dim=16, n_layers=2, n_heads=2, hidden_dim=32)
    DistilBertModel(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture
def vicuna(tmp_path: Path) -> Path:
    """A random language model of the tiny backbone's width and vocabulary, as a hub holds it."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "vicuna")
    return tmp_path / "vicuna"


def moved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor + 0.01 * torch.randn_like(tensor) for name, tensor in tensors.items()}


def serac_file(path: Path, encoder: Path, vicuna: Path) -> dict[str, Tensor]:
    """Write what the trainer of MEND and SERAC saves: everything of the wrapper but what was not trained."""
    reader = DistilBertModel.from_pretrained(encoder).state_dict()
    answers = AutoModelForCausalLM.from_pretrained(vicuna).state_dict()
    last = {name: tensor for name, tensor in answers.items() if ".layers.1." in name}
    tensors = {
        **{f"classifier.{name}": tensor for name, tensor in moved(reader).items()},
        "scale": torch.tensor(1.0),
        "language_projection.weight": torch.randn(768, 768),
        "language_projection.bias": torch.randn(768),
        **{f"replacement.{name}": tensor for name, tensor in moved(last).items()},
    }
    rest = {"opt": {"state": {}}, "lr_opt": None, "val_stats": {"loss/total_edit_val": 1.0}, "step": 6000}
    times = {"start_time": 1.0, "elapsed_time": 2.0}
    torch.save({"model": {**tensors, "model_config": LlavaConfig()}, **rest, **times}, path)
    return tensors


def ke_file(path: Path) -> dict[str, Tensor]:
    """Write what pytorch-lightning saves of KE, without the base model."""
    tensors = {"alpha_lp": torch.ones(()), "margin_lp": torch.tensor(1e-3), **conditioners()}
    parts = {
        "embedding": torch.nn.Embedding(VOCABULARY, HIDDEN, padding_idx=0),
        "lstm": torch.nn.LSTM(HIDDEN, 128, bidirectional=True, batch_first=True),
        "linear": torch.nn.Linear(256, 1024),
    }
    for part, module in parts.items():
        tensors |= {f"learner.condition.{part}.{name}": tensor for name, tensor in module.state_dict().items()}
    rest: dict[str, Any] = {"epoch": 30, "global_step": 19080, "pytorch-lightning_version": "1.9.0", "callbacks": {}}
    torch.save({"state_dict": tensors, "optimizer_states": [{}], "hyper_parameters": LlavaConfig(), **rest}, path)
    return tensors


def conditioners() -> dict[str, Tensor]:
    backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    own, tensors = dict(backbone.module.named_parameters()), {}
    for matrix in MATRICES:
        (shape,) = [tensor.shape for name, tensor in own.items() if name.endswith(matrix) and "language" in name]
        begin = f"learner.conditioners.model_{matrix.replace('.', '_')}_conditioner.conditioners"
        for layer, into, out in ((0, 1024, 128), (2, 128, 2 * sum(shape) + 1)):
            linear = torch.nn.Linear(into, out)
            tensors[f"{begin}.{layer}.weight_g"] = linear.weight.detach().norm(dim=1, keepdim=True)
            tensors[f"{begin}.{layer}.weight_v"] = linear.weight.detach()
            tensors[f"{begin}.{layer}.bias"] = linear.bias.detach()
    return tensors


def run(editor: str, data: Path, *further: str) -> int:
    what = ["run", "--editor", editor, *WHERE, "--data", str(data), "--limit", "1", "--protocol", "paper"]
    return cli.main([*what, *further])


def test_a_released_file_of_ke_comes_in_and_edits(small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = ke_file(Path("model-epoch=30-valid_acc=0.7554.ckpt"))
    assert cli.main(["import", "ke", "model-epoch=30-valid_acc=0.7554.ckpt", *WHERE]) == 0
    written = Path("checkpoints/tiny-llava/mmke-user/ke/best.safetensors")
    assert f"written: {written}" in capsys.readouterr().out
    kept = read(written)
    assert len(kept.tensors) == len(tensors)
    assert sorted(tuple(tensor.shape) for tensor in kept.tensors.values()) == sorted(
        tuple(tensor.shape) for tensor in tensors.values()
    )
    assert kept.facts.protocol == "paper"
    assert run("ke", small_data) == 0
    assert Path("results/tiny-llava/mmke-user/hop1/paper/seed0/ke/rows.jsonl").stat().st_size > 0


@pytest.mark.slow
def test_a_released_file_of_serac_comes_in_and_edits(small_data: Path, encoder: Path, vicuna: Path) -> None:
    tensors = serac_file(Path("llava_240101-step_6000.pt"), encoder, vicuna)
    of_the_file = {
        "encoder": encoder,
        "encoder_trained": "true",
        "pooling": "first",
        "head": 0,
        "counterfactual": vicuna,
        "embeddings": "base",
    }
    changes = [word for key, value in of_the_file.items() for word in ("--set", f"{key}={value}")]
    assert cli.main(["import", "serac", "llava_240101-step_6000.pt", *WHERE, *changes]) == 0
    written = Path("checkpoints/tiny-llava/mmke-user/serac/best.safetensors")
    kept = read(written)
    assert len(kept.tensors) == len([name for name in tensors if not name.startswith("language_projection")])
    up = kept.tensors["network.counterfactual.copies.language/model/layers/1/mlp/up_proj/weight"]
    assert torch.equal(up, tensors["replacement.model.layers.1.mlp.up_proj.weight"])
    # The settings that it came in with are the run's.
    assert run("serac", small_data, "--out", "one") == 0
    assert run("serac", small_data, "--out", "two", "--checkpoint", f"serac={written}") == 0
    rows = [Path(out, "tiny-llava/mmke-user/hop1/paper/seed0/serac/rows.jsonl").read_bytes() for out in ("one", "two")]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("editor", "told"),
    [
        ("mend", "is no tensor of MEND's"),
        ("serac", "is no tensor of SERAC's"),
        ("ft-llm", "ft-llm is not trained, so that there is nothing to import"),
        ("ike", "ike is not trained, so that there is nothing to import"),
        ("kee", "unknown editor 'kee'; did you mean 'ke'?"),
    ],
)
def test_a_file_of_another_editor_is_told(editor: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    ke_file(Path("model.ckpt"))
    assert cli.main(["import", editor, "model.ckpt", *WHERE]) == 2
    assert told in capsys.readouterr().err
    assert not Path("checkpoints").exists()

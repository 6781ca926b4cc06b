"""Filling a module from files: precision, what it costs, what it leaves alone, and what identifies the weights."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from layouts import llava, model_folder
from safetensors.torch import save_file
from torch import Tensor, nn

from mmke.backbones.weights.checkpoint import Checkpoint, Source, assemble
from mmke.backbones.weights.llava import locate
from mmke.backbones.weights.loading import build_skeleton
from mmke.errors import UserError

CPU = torch.device("cpu")
RULES = ((r"old_(.+)", r"\1"), (r"spare", None))


class Small(nn.Module):
    """A linear layer and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.norm = nn.LayerNorm(3)


def tensors() -> dict[str, Tensor]:
    return {f"old_{name}": tensor.clone() for name, tensor in Small().state_dict().items()}


def checkpoint(folder: Path, found: dict[str, Tensor], *, safe: bool = True) -> Checkpoint:
    model_folder(folder, {})
    file = folder / ("x.safetensors" if safe else "x.bin")
    save_file(found, file) if safe else torch.save(found, file)
    return assemble("a layout", folder, [Source([file], RULES)])


def empty() -> nn.Module:
    return build_skeleton(Small)


def on_cpu(_: str) -> torch.device:
    return CPU


def full(_: str) -> torch.dtype:
    return torch.float32


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
def test_each_tensor_gets_its_own_precision(stored: torch.dtype, tmp_path: Path) -> None:
    found = {name: tensor.to(stored) for name, tensor in tensors().items()}
    module = empty()
    checkpoint(tmp_path, found).fill(
        module, dtype=lambda name: torch.float32 if name.startswith("norm") else torch.float16, device=on_cpu
    )
    for name, tensor in module.state_dict().items():
        wanted = torch.float32 if name.startswith("norm") else torch.float16
        assert torch.equal(tensor, found[f"old_{name}"].to(wanted))
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("safe", [True, False])
def test_the_model_does_not_hang_on_its_file(safe: bool, tmp_path: Path) -> None:  # noqa: FBT001
    found, module = tensors(), empty()
    checkpoint(tmp_path, found, safe=safe).fill(module, dtype=full, device=on_cpu)
    file = next(tmp_path.glob("x.*"))
    with file.open("r+b") as opened:
        opened.write(b"\0" * file.stat().st_size)
    assert all(torch.equal(tensor, found[f"old_{name}"]) for name, tensor in module.state_dict().items())


def test_all_that_does_not_fit_is_told_at_once_and_nothing_is_filled(tmp_path: Path) -> None:
    found = tensors()
    del found["old_norm.bias"]
    found |= {
        "old_linear.weight": torch.ones(4, 4),
        "old_linear.bias": torch.ones(3, dtype=torch.int8),
        "old_more": torch.ones(1),
        "strange": torch.ones(1),
    }
    module = empty()
    with pytest.raises(UserError) as caught:
        checkpoint(tmp_path, found).fill(module, dtype=full, device=on_cpu)
    file = f"{tmp_path.name}/x.safetensors"
    assert str(caught.value) == (
        f"the weights in {tmp_path} (a layout) are not this model's: of another shape: {file}: old_linear.weight is "
        f"[4, 4] where [3, 4] is expected; not floating-point: {file}: old_linear.bias is torch.int8; missing: "
        f"norm.bias; unknown to this model: {file}: strange, {file}: old_more; name a folder with its own, or download "
        "them again"
    )
    assert all(parameter.is_meta for parameter in module.parameters())


def test_what_the_layout_leaves_out_is_listed_and_the_rest_is_counted(tmp_path: Path) -> None:
    found = checkpoint(tmp_path, tensors() | {"spare": torch.ones(9)})
    assert found.unused == (f"{tmp_path.name}/x.safetensors: spare",)
    assert found.bytes == 4 * (12 + 3 + 3 + 3)


def test_a_later_source_stands_in_and_the_earlier_is_listed(tmp_path: Path) -> None:
    model_folder(tmp_path, {})
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    save_file(tensors(), first)
    save_file({"old_norm.bias": torch.full((3,), 5.0)}, second)
    found = assemble("two", tmp_path, [Source([first], RULES), Source([second], RULES)])
    module = empty()
    found.fill(module, dtype=full, device=on_cpu)
    assert module.state_dict()["norm.bias"].tolist() == [5, 5, 5]
    assert found.unused == (f"{tmp_path.name}/1.safetensors: old_norm.bias",)


def test_tables_that_no_file_holds_keep_their_values_and_precision(tmp_path: Path) -> None:
    model = llava()
    model.save_pretrained(model_folder(tmp_path, {}))
    filled = build_skeleton(lambda: type(model)(model.config))
    locate(tmp_path).fill(filled, dtype=lambda _: torch.float16, device=on_cpu)
    theirs = dict(model.named_buffers())
    assert {name: tensor.dtype for name, tensor in filled.named_buffers()} == {n: t.dtype for n, t in theirs.items()}
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in filled.named_buffers())


def test_the_revision_is_of_the_weights_and_not_of_their_place(tmp_path: Path) -> None:
    found = tensors()
    one = checkpoint(tmp_path / "here", found)
    other = checkpoint(tmp_path / "there", found)
    assert one.revision == other.revision


def test_the_revision_tells_changed_weights(tmp_path: Path) -> None:
    found = tensors()
    before = checkpoint(tmp_path, found).revision
    changed = checkpoint(tmp_path, found | {"old_norm.bias": torch.full((3,), 0.5)}).revision
    narrowed = checkpoint(tmp_path, {name: tensor.half() for name, tensor in found.items()}).revision
    assert len({before, changed, narrowed}) == 3


def test_the_revision_tells_another_tokenizer(tmp_path: Path) -> None:
    found = tensors()
    before = checkpoint(tmp_path, found).revision
    (tmp_path / "vocab.json").write_text("{}")
    assert checkpoint(tmp_path, found).revision != before


def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no tokenizer \(none of tokenizer.json, tokenizer.model, vocab.json\)"):
        assemble("a layout", tmp_path, [])


COST = """
import sys, torch
from pathlib import Path
from torch import nn
from mmke.backbones.weights.checkpoint import Source, assemble
torch.set_num_threads(1)
def peak():
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) // 1024
folder = Path(sys.argv[1])
with torch.device("meta"):
    module = nn.Sequential(*(nn.Linear(2048, 2048, bias=False) for _ in range(24)))
before = peak()
found = assemble("large", folder, [Source([next(folder.glob("x.*"))], ((r"(.+)", r"\\1"),))])
found.check(module)
checked = peak()
found.fill(module, dtype=lambda _: torch.float32, device=lambda _: torch.device("cpu"))
print(before, checked, peak())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of memory is read from Linux's /proc")
@pytest.mark.parametrize("safe", [True, False])
def test_memory_holds_the_model_and_the_mapped_files_alone(safe: bool, tmp_path: Path) -> None:  # noqa: FBT001
    model_folder(tmp_path, {})
    found = {f"{i}.weight": torch.ones(2048, 2048) for i in range(24)}
    save_file(found, tmp_path / "x.safetensors") if safe else torch.save(found, tmp_path / "x.bin")
    done = subprocess.run([sys.executable, "-c", COST, str(tmp_path)], check=True, capture_output=True, text=True)
    before, checked, after = map(int, done.stdout.split())
    size, tensor = 384, 16  # MiB
    assert checked - before < tensor
    # Pages of mapped files are the system's to take back.
    assert after - before < 2 * size + 3 * tensor

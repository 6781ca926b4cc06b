"""No file that can be given to `mmke import` runs anything, in whichever container it comes; tensors come in."""

import argparse
import io
import os
import pickle
import random
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mmke.errors import UserError
from mmke.training.published_files import read_published

TENSORS = {"a": torch.arange(3.0), "b": torch.ones(2, 2, dtype=torch.float16)}


class Config:
    """As the published code's own configuration class."""

    def __init__(self) -> None:
        self.hidden_size = 4096


class Table(dict[str, object]):
    """As the class in which pytorch-lightning keeps settings."""


class Trap:
    """Calls a function when it is read as pickles are."""

    def __init__(self, function: Callable[..., object], *given: object) -> None:
        self.called = function, given

    def __reduce__(self) -> tuple[Any, ...]:
        return self.called


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def tar(path: Path, content: object, _: int) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            written = pickle.dumps(content)
            member.size = len(written)
            archive.addfile(member, io.BytesIO(written))


def script(path: Path, content: object, protocol: int) -> None:
    """Write a TorchScript archive with a pickle of ours in the place of its own."""
    torch.jit.save(torch.jit.script(Doubled()), str(path), _extra_files={"data.pkl": pickle.dumps(content, protocol)})


CONTAINERS: dict[str, Callable[[Path, object, int], None]] = {
    "zip": lambda path, content, protocol: torch.save(content, path, pickle_protocol=protocol),
    "before 1.6": lambda path, content, protocol: torch.save(
        content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False
    ),
    "tar": tar,
    "torchscript": script,
    "pickle": lambda path, content, protocol: path.write_bytes(pickle.dumps(content, protocol)) and None,
}


def traps(trace: Path) -> dict[str, Trap]:
    return {
        "system": Trap(os.mkdir, str(trace)),
        "builtin": Trap(eval, f"__import__('os').mkdir({str(trace)!r})"),
        "program": Trap(subprocess.getoutput, f"mkdir '{trace}'"),
    }


def read(file: Path) -> set[str] | UserError:
    """Return the names of the tensors that were read, or what was told."""
    try:
        return set(read_published(file))
    except UserError as told:
        return told


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("container", CONTAINERS)
def test_nothing_is_run(container: str, protocol: int, suffix: str, tmp_path: Path) -> None:
    for name, trap in traps(tmp_path / "trace").items():
        for place, content in (("alone", trap), ("beside", {"model": dict(TENSORS), "trap": trap})):
            file = tmp_path / f"{name}-{place}{suffix}"
            CONTAINERS[container](file, content, protocol)
            found = read(file)  # where it is not refused, what would be called was left out
            assert found == set(TENSORS) or (str(found).startswith(str(file)) and "\n" not in str(found))
            assert not (tmp_path / "trace").exists()


def test_the_traps_would_run_elsewhere(tmp_path: Path) -> None:
    for name, trap in traps(tmp_path / "trace").items():
        torch.save(trap, tmp_path / name)
        torch.load(tmp_path / name, weights_only=False)
        (tmp_path / "trace").rmdir()


def test_a_call_of_the_system_is_told(tmp_path: Path) -> None:
    torch.save({"model": dict(TENSORS), "trap": Trap(os.mkdir, str(tmp_path / "trace"))}, tmp_path / "trap.pt")
    with pytest.raises(UserError, match=r"trap\.pt would call posix\.mkdir while it is read"):
        read_published(tmp_path / "trap.pt")


def test_tensors_come_in_from_beside_objects_of_any_class(tmp_path: Path) -> None:
    content = {
        "model": {**TENSORS, "model_config": Config()},
        "hyper_parameters": Table(steps=3),
        "callbacks": {Table: {"best": Path("x.ckpt")}},
        "arguments": argparse.Namespace(steps=3),
        "losses": [np.float64(0.5), np.ones(3)],
        "precision": torch.float16,
    }
    torch.save(content, tmp_path / "good.pt")
    save_file(TENSORS, tmp_path / "good.safetensors")
    CONTAINERS["before 1.6"](tmp_path / "old.pt", {"state_dict": TENSORS}, 2)
    for name in ("good.pt", "good.safetensors", "old.pt"):
        found = read_published(tmp_path / name)
        assert found.keys() == TENSORS.keys()
        assert all(torch.equal(found[key], tensor) for key, tensor in TENSORS.items())


@pytest.mark.parametrize("left", [0, 4, 40, -1])
@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pt"])
def test_a_file_that_is_cut_off_is_one_line(name: str, left: int, tmp_path: Path) -> None:
    if name.endswith("pt"):
        torch.save(TENSORS, tmp_path / name)
    else:
        save_file(TENSORS, tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:left])
    with pytest.raises(
        UserError, match=f"{name} is cut off, damaged, or no checkpoint of the published code [(].+[)]$"
    ):
        read_published(tmp_path / name)


def test_garbage_is_one_line(tmp_path: Path) -> None:
    draw = random.Random(0)  # noqa: S311
    torch.save({"model": {**TENSORS, "model_config": Config()}}, tmp_path / "good.pt")
    whole = (tmp_path / "good.pt").read_bytes()
    for number in range(60):
        changed = bytearray(whole)
        for _ in range(1 + number % 5):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        for suffix in (".pt", ".safetensors"):
            file = tmp_path / f"changed{suffix}"
            file.write_bytes(changed)
            assert "\n" not in str(read(file))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_told(value: float, tmp_path: Path) -> None:
    torch.save({"model": {**TENSORS, "c": torch.tensor([1.0, value])}}, tmp_path / "nan.pt")
    with pytest.raises(UserError, match=r"nan\.pt holds values that are no finite numbers, in 1 of 3 tensors.*'c'"):
        read_published(tmp_path / "nan.pt")

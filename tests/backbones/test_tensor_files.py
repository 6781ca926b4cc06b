"""Weight files: broken ones are told in one line, and no code of theirs runs."""

import json
import os
import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmke.backbones.weights.tensor_files import open_file, weight_files
from mmke.errors import UserError

TENSORS = {"a": torch.arange(300.0), "b": torch.ones(2, 3, dtype=torch.float16)}


class Evil:
    """Makes a file when it is read by a reader that trusts it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.mark),))


def cut(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])


def save_new(file: Path) -> None:
    torch.save(TENSORS, file)


def save_old(file: Path) -> None:
    torch.save(TENSORS, file, _use_new_zipfile_serialization=False)


def save_safe(file: Path) -> None:
    save_file(TENSORS, file)


WRITERS = [("x.bin", save_new), ("x.pth", save_old), ("x.safetensors", save_safe)]


@pytest.mark.parametrize(("name", "save"), WRITERS)
def test_every_kind_of_file_is_read(name: str, save: Callable[[Path], None], tmp_path: Path) -> None:
    save(tmp_path / name)
    found = open_file(tmp_path / name).tensors
    assert {key: (stored.shape, stored.dtype, stored.bytes) for key, stored in found.items()} == {
        "a": ((300,), torch.float32, 1200),
        "b": ((2, 3), torch.float16, 12),
    }
    assert all(torch.equal(found[key].read(), tensor) for key, tensor in TENSORS.items())


@pytest.mark.parametrize(("name", "save"), WRITERS)
@pytest.mark.parametrize("keep", [0, 10, 40, 200, -5])
def test_a_file_that_is_cut_off_is_told_by_name(
    name: str, save: Callable[[Path], None], keep: int, tmp_path: Path
) -> None:
    file = tmp_path / name
    save(file)
    cut(file, keep)
    with pytest.raises(UserError, match=r"(cut off|is empty|is no weight file).*download or copy it again$") as caught:
        open_file(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"<!DOCTYPE html>", b"Entry not found"])
@pytest.mark.parametrize("name", ["x.bin", "x.safetensors"])
def test_a_page_in_the_place_of_weights_is_told(text: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text)
    with pytest.raises(UserError, match=r"is (no weight file|cut off or no safetensors file)"):
        open_file(tmp_path / name)


@pytest.mark.parametrize("name", ["x.bin", "x.safetensors"])
def test_a_pointer_of_git_lfs_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9976578928\n")
    with pytest.raises(UserError, match="is a git-lfs pointer, not the file itself; fetch it with `git lfs pull`"):
        open_file(tmp_path / name)


@pytest.mark.parametrize("new", [True, False])
def test_code_in_a_file_is_refused_and_does_not_run(new: bool, tmp_path: Path) -> None:  # noqa: FBT001
    torch.save({"a": Evil(tmp_path / "ran")}, tmp_path / "x.bin", _use_new_zipfile_serialization=new)
    with pytest.raises(UserError, match=r"wants to run code when it is read \(posix.mkdir\), which is refused"):
        open_file(tmp_path / "x.bin")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    with pytest.raises(UserError, match="a plain pickle, which runs code when it is read"):
        open_file(tmp_path / "x.bin")
    assert not (tmp_path / "ran").exists()


def test_an_object_that_is_no_tensor_is_refused_by_its_name(tmp_path: Path) -> None:
    torch.save({"model": TENSORS, "args": Namespace(lr=1)}, tmp_path / "x.pth")
    with pytest.raises(UserError, match=r"\(argparse.Namespace\), which is refused; get the weights as safetensors"):
        open_file(tmp_path / "x.pth")


def test_what_a_training_loop_saved_beside_the_model_is_named(tmp_path: Path) -> None:
    torch.save({"model": TENSORS, "optimizer": {"state": {}}, "epoch": 3}, tmp_path / "x.pth")
    found = open_file(tmp_path / "x.pth")
    assert (set(found.tensors), found.others) == ({"a", "b"}, ("optimizer", "epoch"))


def test_a_file_without_names_is_told(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "x.bin")
    with pytest.raises(UserError, match="holds no named tensors but a list"):
        open_file(tmp_path / "x.bin")


def test_safetensors_are_preferred(tmp_path: Path) -> None:
    save_new(tmp_path / "pytorch_model.bin")
    save_safe(tmp_path / "model.safetensors")
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]


def write_index(folder: Path, name: str, shards: list[str]) -> None:
    (folder / name).write_text(json.dumps({"weight_map": {f"t{i}": shard for i, shard in enumerate(shards)}}))


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_index(tmp_path, "model.safetensors.index.json", ["m-1.safetensors", "m-2.safetensors"])
    save_safe(tmp_path / "m-1.safetensors")
    (tmp_path / "m-2.safetensors.incomplete").touch()
    with pytest.raises(
        UserError, match=r"is incomplete: 1 of the 2 files .* are not there, the first 'm-2.safetensors'"
    ):
        weight_files(tmp_path)


def test_whole_shards_of_another_kind_make_up_for_missing_ones(tmp_path: Path) -> None:
    write_index(tmp_path, "model.safetensors.index.json", ["m-1.safetensors"])
    write_index(tmp_path, "pytorch_model.bin.index.json", ["m-1.bin", "m-1.bin"])
    save_new(tmp_path / "m-1.bin")
    assert weight_files(tmp_path) == [tmp_path / "m-1.bin"]


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": {"a": "../m.bin"}}', '{"weight_map": {}}'])
def test_an_index_that_names_no_files_beside_itself_is_told(index: str, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(index)
    with pytest.raises(UserError, match=r"index.json (cannot be read|holds no|names no weight files)"):
        weight_files(tmp_path)


def test_weights_that_are_a_link_to_nothing_are_told(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to("../blobs/abc")
    with pytest.raises(UserError, match=r"model\.safetensors is a link to \.\./blobs/abc, which is not there"):
        weight_files(tmp_path)


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no weights \(none of model.safetensors.index.json, "):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    ("index", "whole"),
    [("model.safetensors.index.json", "model.safetensors"), ("pytorch_model.bin.index.json", "pytorch_model.bin")],
)
@pytest.mark.parametrize("complete", [True, False])
def test_one_file_beside_an_index_of_others_is_refused(
    index: str, whole: str, tmp_path: Path, *, complete: bool
) -> None:
    write_index(tmp_path, index, ["m-1.safetensors"])
    if complete:
        save_safe(tmp_path / "m-1.safetensors")
    save_safe(tmp_path / whole)
    with pytest.raises(UserError, match=rf"holds {whole} and, by {index}, 1 other files of weights, such as 'm-1"):
        weight_files(tmp_path)


def test_an_index_that_names_the_one_file_is_no_second_set(tmp_path: Path) -> None:
    write_index(tmp_path, "model.safetensors.index.json", ["model.safetensors"])
    save_safe(tmp_path / "model.safetensors")
    assert weight_files(tmp_path) == [tmp_path / "model.safetensors"]

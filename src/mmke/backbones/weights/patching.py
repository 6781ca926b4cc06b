"""Put other values into tensors of a weight file, in place: shapes, types, names and all other bytes stay.

A safetensors file says at which bytes each tensor lies, so that only these are written. A file of torch is read by its
weights-only reader and written again.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mmke.backbones.weights.tensor_files import open_file

LENGTH = 8
"""Bytes at a safetensors file's beginning that say how long its header is."""


def patch(file: Path, changes: Mapping[str, Tensor]) -> None:
    """Write tensors into a file, rounded to the types that they have there.

    Args:
        file: a weight file, safetensors or torch's own.
        changes: by the file's names.

    Raises:
        ValueError: a tensor is not in the file, or has another shape there.
    """
    stored = open_file(file).tensors
    for name, tensor in changes.items():
        if name not in stored or stored[name].shape != tuple(tensor.shape):
            raise ValueError(f"{file} holds no tensor {name!r} of the shape {list(tensor.shape)}")
    rounded = {name: tensor.detach().cpu().to(stored[name].dtype).contiguous() for name, tensor in changes.items()}
    if file.suffix == ".safetensors":
        _patch_safetensors(file, rounded)
    else:
        _patch_torch(file, rounded)


def _patch_safetensors(file: Path, changes: Mapping[str, Tensor]) -> None:
    with file.open("r+b") as opened:
        length = int.from_bytes(opened.read(LENGTH), "little")
        header = json.loads(opened.read(length))
        for name, tensor in changes.items():
            begin, end = header[name]["data_offsets"]
            content = tensor.view(-1).view(torch.uint8).numpy().tobytes()
            if end - begin != len(content):
                raise ValueError(f"{file} gives {name!r} {end - begin} bytes, and it has {len(content)}")
            opened.seek(LENGTH + length + begin)
            opened.write(content)


def _patch_torch(file: Path, changes: Mapping[str, Tensor]) -> None:
    found = torch.load(file, map_location="cpu", weights_only=True)
    inner = next((key for key in ("model", "state_dict") if isinstance(found.get(key), Mapping)), None)
    weights = found if inner is None else found[inner]
    weights.update(changes)
    torch.save(found, file)

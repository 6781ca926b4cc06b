"""Pictures whose header is in order and whose pixels are not: found out when they are read, and told in one message."""

import struct
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmke import api, registry
from mmke.errors import UserError


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def wrong_chunk(content: bytes) -> bytes:
    """Halve the stated length of the pixels' chunk, so that pixels stand where the next chunk's name should."""
    at = content.index(b"IDAT") - 4
    length = struct.unpack(">I", content[at : at + 4])[0]
    return content[:at] + struct.pack(">I", length // 2) + content[at + 4 :]


@pytest.mark.parametrize("damage", [truncated, wrong_chunk])
def test_broken_pixels_are_told_with_the_file(damage: object, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.png", tmp_path / "broken.png"
    Image.effect_noise((64, 64), 80).save(whole)
    broken.write_bytes(damage(whole.read_bytes()))  # type: ignore[operator]
    backbone = registry.factory("backbones", "tiny-llava")(
        name="tiny-llava", dtype=torch.float32, device=torch.device("cpu")
    )
    assert isinstance(api.say(backbone, "What is it?", api.picture(whole)), str)
    with pytest.raises(UserError, match=rf"{broken} cannot be read as a picture"):
        api.say(backbone, "What is it?", api.picture(broken))

"""A picture is read as the protocol says, and one that cannot be read or processed is told with its file."""

import hashlib
import os
import warnings
from pathlib import Path

import pytest
from hf_hub import Hub
from PIL import Image

from mmke import api
from mmke.backbones import llava
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.pictures import read_picture, refused
from mmke.errors import CannotAskError
from mmke.types import Ask, ImageRef, Query

FORMATS = ["ppm", "pbm", "dds", "bmp", "tiff", "png", "jpeg", "gif"]


def reference(path: Path, *, upright: bool = True) -> ImageRef:
    return ImageRef(path, hashlib.sha256(path.read_bytes()).hexdigest(), upright)


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A picture that is red on the left, stored so that it has to be turned to be so."""
    upright, exif = Image.new("RGB", (40, 20), "blue"), Image.Exif()
    upright.paste("red", (0, 0, 20, 20))
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    return tmp_path / "turned.png"


@pytest.fixture(scope="module")
def tiny() -> ComposedBackbone:
    loaded = api.load_backbone("tiny-llava")
    assert isinstance(loaded, ComposedBackbone)
    return loaded


def test_exif_orientation_is_applied_or_ignored(turned: Path) -> None:
    upright, stored = read_picture(reference(turned)), read_picture(reference(turned, upright=False))
    assert (upright.size, stored.size) == ((40, 20), (20, 40))
    assert upright.convert("RGB").getpixel((5, 5)) == (255, 0, 0)


def test_a_store_tells_a_picture_as_stored_from_the_turned_one(tiny: ComposedBackbone, turned: Path) -> None:
    store = api.store()
    upright, stored = (tiny.features(reference(turned, upright=each), store) for each in (True, False))
    assert not upright.equal(stored)


@pytest.mark.parametrize("suffix", FORMATS)
def test_broken_pixels_of_every_format_are_told(tiny: ComposedBackbone, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"broken.{suffix}"
    Image.effect_noise((64, 64), 80).convert("1" if suffix == "pbm" else "RGB").save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CannotAskError, match=f"{file} cannot be read as a picture"):
        api.say(tiny, "What is it?", reference(file))


def test_a_pipe_is_no_picture(tmp_path: Path, tiny: ComposedBackbone) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "a pipe or a device" in str(tiny.problems(Query("?", ImageRef(tmp_path / "pipe.png", "0")), "a", Ask()))


def test_a_large_picture_is_read_without_pillows_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (40, 40)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(reference(tmp_path / "large.png")).size == (40, 40)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(CannotAskError, match=r"large.png cannot be read as a picture"):
        read_picture(reference(tmp_path / "large.png"))


def test_a_shape_that_the_models_own_processing_refuses_is_told(hub: Hub, tmp_path: Path) -> None:
    Image.new("RGB", (2010, 10), "red").save(tmp_path / "long.png")
    skeleton = hub.load("qwen2.5-vl", skeleton=True)
    reason = skeleton.problems(Query("What is it?", reference(tmp_path / "long.png")), "a line", Ask())
    assert str(reason).startswith(f"{tmp_path}/long.png: the model's processor refuses a picture of 2010 × 10 pixels")
    assert "aspect ratio" in str(reason)


def test_llava_refuses_what_it_would_enlarge_beyond_measure() -> None:
    told = r"line.png is refused by llava.* 336 x 1,680,000"
    with pytest.raises(CannotAskError, match=told), refused(ImageRef(Path("line.png"), "0"), "llava"):
        llava.pixels(Image.new("RGB", (1, 5000)))

"""Reading picture files: broken ones are told in one line, pipes are not waited for, EXIF is applied on request."""

import base64
import io
import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmke.pictures import BrokenPictureError, decode, look, open_picture, shrunk, webp_address

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "DDS", "WEBP", "TGA", "PCX", "ICO", "JPEG2000", "SGI")


def stored(form: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.effect_noise((24, 24), 80).convert(mode).save(out, form)
    return out.getvalue()


def reason(read: Callable[[bytes], object], content: bytes) -> str:
    try:
        read(content)
    except BrokenPictureError as error:
        return str(error)
    return "a picture"


@pytest.mark.parametrize("form", FORMATS)
def test_broken_bytes_of_any_format_are_a_picture_or_one_line(form: str) -> None:
    content, draw = stored(form), random.Random(form)  # noqa: S311 - a draw, not a secret
    assert decode(content).size[0] > 0
    for _ in range(150):
        broken = bytearray(content[: draw.choice([len(content), draw.randrange(1, len(content))])])
        for _ in range(draw.randrange(1, 6)):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        for read in (decode, lambda each: look(each, thorough=True), lambda each: look(each, thorough=False)):
            assert reason(read, bytes(broken)).count("\n") == 0


@pytest.mark.parametrize("form", ["PPM", "BMP", "TIFF", "DDS"])
def test_a_good_header_above_cut_pixels_is_found(form: str, tmp_path: Path) -> None:
    file = tmp_path / "cut"
    file.write_bytes(stored(form)[:200])
    with pytest.raises(BrokenPictureError):
        open_picture(file)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(BrokenPictureError, match="a pipe or a device"):
        open_picture(tmp_path / "pipe.png")


@pytest.mark.parametrize(("upright", "size"), [(False, (8, 4)), (True, (4, 8))])
def test_the_exif_orientation_is_applied_on_request(upright: bool, size: tuple[int, int], tmp_path: Path) -> None:  # noqa: FBT001
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert open_picture(tmp_path / "turned.jpg", upright=upright).size == size
    assert look((tmp_path / "turned.jpg").read_bytes(), thorough=True) == 6


def test_warnings_that_name_no_file_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(stored("PNG")).size == (24, 24)


@pytest.mark.parametrize(("mode", "kept"), [("L", "RGB"), ("LA", "RGBA"), ("CMYK", "RGB"), ("PA", "RGBA")])
def test_a_small_copy_keeps_its_form_and_what_can_be_seen_through(mode: str, kept: str) -> None:
    small = shrunk(Image.new(mode, (300, 30)), 100)
    assert (small.mode, small.size) == (kept, (100, 10))


def test_an_address_holds_the_small_copy() -> None:
    begin, _, content = webp_address(Image.new("RGB", (30, 60)), side=20, quality=70).partition(",")
    assert begin == "data:image/webp;base64"
    assert decode(base64.b64decode(content)).size == (10, 20)

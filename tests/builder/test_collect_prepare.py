"""A picture as the project keeps it: pixels and nothing else, upright, of bounded size."""

import io
import zlib

import numpy as np
import pytest
from own_folder import content, picture
from PIL import Image, ImageCms, PngImagePlugin

from mmke.build.collect.prepare import LONG_SIDE, UnsuitableError, prepare
from mmke.pictures import BrokenPictureError


def kept(file: bytes, short_side: int = 100) -> Image.Image:
    """Return the picture that is kept of a file."""
    return Image.open(io.BytesIO(prepare(file, short_side=short_side).content))


def with_everything(kind: str) -> bytes:
    """Return a file with EXIF, a place, XMP, a comment and more after the last pixel."""
    exif = Image.Exif()
    exif[0x010F] = "Secret Camera"
    exif.get_ifd(0x8825)[1] = "N-Secret"
    how: dict[str, object] = {"exif": exif, "xmp": b"<x:xmpmeta>Secret</x:xmpmeta>"}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_text("Comment", "Secret")
        info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>Secret</x:xmpmeta>")
        how = {"exif": exif, "pnginfo": info}
    elif kind == "JPEG":
        how["comment"] = "Secret"
    return content(picture("photo"), kind, **how) + b"Secret film"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_nothing_but_pixels_is_kept(kind: str) -> None:
    before = with_everything(kind)
    assert before.count(b"Secret") >= 2
    after = prepare(before, short_side=100)
    assert b"Secret" not in after.content
    image = Image.open(io.BytesIO(after.content))
    assert dict(image.getexif()) == {}
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert after.suffix == (".png" if kind in ("PNG", "TIFF") else ".jpg")


def test_a_png_keeps_every_pixel_and_a_jpeg_nearly() -> None:
    image = picture("photo")
    assert np.array_equal(np.asarray(kept(content(image))), np.asarray(image))
    jpeg = np.asarray(kept(content(image, "JPEG", quality=95)), float)
    assert np.abs(jpeg - np.asarray(image)).mean() < 3


def test_the_same_file_gives_the_same_bytes() -> None:
    file = content(picture("photo"), "JPEG")
    assert prepare(file, short_side=100) == prepare(file, short_side=100)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_kept_upright(orientation: int) -> None:
    image = picture("photo", (240, 120))
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # Pillow's transpositions that undo each orientation
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = image if orientation == 1 else image.transpose(Image.Transpose(turned[orientation]))
    found = kept(content(image, "PNG", exif=exif))
    assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_a_transparent_picture_lies_on_white_and_an_animation_is_its_first_picture() -> None:
    layered = Image.new("RGBA", (120, 120), (255, 0, 0, 0))
    layered.paste((0, 0, 255, 255), (0, 0, 60, 120))
    found = kept(content(layered))
    assert (found.getpixel((0, 0)), found.getpixel((119, 0))) == ((0, 0, 255), (255, 255, 255))
    frames = [Image.new("RGB", (120, 120), colour) for colour in ("red", "green", "blue")]
    moving = content(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert kept(moving).getpixel((5, 5)) == (254, 0, 0) or kept(moving).getpixel((5, 5)) == (255, 0, 0)


def test_a_white_drawing_on_nothing_is_refused_as_nothing_is_seen_of_it() -> None:
    layered = Image.new("RGBA", (120, 120), (255, 255, 255, 0))
    layered.paste((255, 255, 255, 255), (0, 0, 60, 120))
    with pytest.raises(UnsuitableError, match="laid on white, on which nothing of it is to be seen"):
        prepare(content(layered), short_side=100)


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb_with_the_colours_that_one_sees(mode: str) -> None:
    grey = Image.linear_gradient("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode == "CMYK" else grey.convert(mode)
    found = kept(content(image, "TIFF"))
    assert found.mode == "RGB"
    if mode != "1":
        assert np.abs(np.asarray(found.convert("L"), int) - np.asarray(grey)).mean() < 2


def test_a_wider_colour_space_is_converted() -> None:
    # A profile whose red and green are exchanged: what looks red is stored as green.
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = usual.replace(b"rXYZ", b"tmpX", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmpX", b"gXYZ", 1)
    image = Image.new("RGB", (120, 120), (0, 255, 0))
    red, green, blue = kept(content(image, "PNG", icc_profile=exchanged)).getpixel((5, 5))
    assert red > 240 and green < 40 and blue < 40  # noqa: PT018
    assert kept(content(image, "PNG", icc_profile=b"broken")).getpixel((5, 5)) == (0, 255, 0)


def test_large_pictures_are_reduced_and_small_ones_refused() -> None:
    assert kept(content(picture("photo", (2100, 1050)), "JPEG")).size == (LONG_SIDE, LONG_SIDE // 2)
    with pytest.raises(UnsuitableError, match=r"^216 x 300 px: the short side is under 224$"):
        prepare(content(picture("photo", (216, 300))), short_side=224)
    with pytest.raises(UnsuitableError, match=r"^5000 x 300 px, reduced to 1024 x 61: the short side is under 224$"):
        prepare(content(picture("photo", (5000, 300)), "JPEG"), short_side=224)
    assert kept(content(picture("photo", (1100, 700)), "JPEG"), short_side=600).size == (1100, 700)


def bomb(width: int, height: int) -> bytes:
    """Return a PNG file of a few hundred bytes that says it has this many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_bombs_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(UnsuitableError, match="12000 x 12000 px: over 120 million pixels; reduce it"):
        prepare(bomb(12_000, 12_000), short_side=100)
    with pytest.raises(BrokenPictureError, match="exceeds limit"):
        prepare(bomb(200_000, 200_000), short_side=100)


@pytest.mark.parametrize("file", [b"", b"no picture", content(picture("photo"))[:300], b"<svg></svg>"])
def test_what_is_no_picture_is_refused(file: bytes) -> None:
    with pytest.raises(BrokenPictureError):
        prepare(file, short_side=100)

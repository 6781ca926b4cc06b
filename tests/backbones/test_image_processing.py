"""Pictures reach the full-size towers as the published code sends them, whatever their shape and mode.

The reference is written out here with Pillow and NumPy in float64: the library's processors are what is tested. Source
of the steps: MMKE-Bench, arXiv:2502.19870, as its published code takes them; neither pads to a square.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from mmke.backbones import llava, qformer

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""CLIP's, for red, green, blue."""
ROUNDING = 1e-6
"""The library scales and shifts in float32, here it is float64; values reach 2.7, half a grey level is 7e-3."""

SIZES = [(336, 336), (640, 480), (480, 640), (337, 336), (335, 1001), (50, 31), (31, 50), (1, 1), (700, 3)]
MODES = ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK"]


def drawn(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return a picture of noise over a gradient; one with transparency where the mode has any."""
    noise = np.random.default_rng(width * 1000 + height).integers(0, 128, (height, width, 4))
    slope = np.linspace(0, 127, width)[None, :, None]
    picture = Image.fromarray((noise + slope).astype(np.uint8), "RGBA")
    if mode == "P":
        return picture.convert("RGB").quantize(32)
    return picture.convert(mode)


def normalised(picture: Image.Image) -> np.ndarray:
    values = np.asarray(picture, np.float64).transpose(2, 0, 1) / 255
    return (values - np.array(MEAN)[:, None, None]) / np.array(DEVIATION)[:, None, None]


def cropped(picture: Image.Image) -> np.ndarray:
    """LLaVA's steps: shortest edge to 336, bicubic, and the middle 336 x 336."""
    width, height = picture.size
    long = int(336 * max(width, height) / min(width, height))
    size = (336, long) if width <= height else (long, 336)
    resized = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - 336) // 2, (size[1] - 336) // 2
    return normalised(resized.crop((left, top, left + 336, top + 336)))


def squeezed(picture: Image.Image) -> np.ndarray:
    """MiniGPT-4's and BLIP2's steps: both edges to 364, bicubic."""
    return normalised(picture.convert("RGB").resize((364, 364), Image.Resampling.BICUBIC))


Steps = tuple[Callable[[Image.Image], torch.Tensor], Callable[[Image.Image], np.ndarray], int]
TOWERS: dict[str, Steps] = {"llava": (llava.pixels, cropped, 336), "eva": (qformer.pixels, squeezed, 364)}


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_picture_of_any_shape_is_resized_and_normalised_as_published(tower: str, size: tuple[int, int]) -> None:
    ours, reference, side = TOWERS[tower]
    picture = drawn(*size)
    found = ours(picture)
    assert found.shape == (3, side, side)
    assert found.dtype == torch.float32
    assert np.abs(found.numpy() - reference(picture)).max() <= ROUNDING


@pytest.mark.parametrize("tower", TOWERS)
@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_is_read_as_red_green_and_blue(tower: str, mode: str) -> None:
    ours, reference, _ = TOWERS[tower]
    picture = drawn(61, 40, mode)
    assert picture.mode == mode
    assert np.abs(ours(picture).numpy() - reference(picture)).max() <= ROUNDING


def test_llava_does_not_see_the_edges_of_a_wide_picture_and_the_others_do() -> None:
    wide = Image.new("RGB", (900, 300))
    wide.paste((255, 255, 255), (0, 0, 200, 300))
    assert len(llava.pixels(wide)[0].unique()) == 1
    assert len(qformer.pixels(wide)[0].unique()) > 1


def test_transparency_is_dropped_and_not_laid_on_a_ground() -> None:
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    for ours, _, _ in TOWERS.values():
        assert torch.equal(ours(clear), ours(Image.new("RGB", (40, 40), (255, 0, 0))))

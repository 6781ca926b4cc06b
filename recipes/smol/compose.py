"""Lay drawings out on a canvas and vary them, on the device: one thing, two side by side, or several copies."""

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from things import Picture, Thing
from torch import Tensor
from torch.nn import functional

from mmke.backbones.smol.vision import DEVIATION, MEAN

SLOTS = 4
COLOUR_WORDS = {"black", "white", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink"}


def load_pictures(
    folder: Path, things: list[Thing], *, every: int = 1
) -> tuple[UInt8[Tensor, "n 3 224 224"], list[Picture]]:
    """Read every n-th packed picture and its index."""
    number = {thing.key: thing.number for thing in things}
    index = json.loads((folder / "pictures.json").read_text())[::every]
    archive = zipfile.ZipFile(folder / "pictures.zip")
    data = [archive.read(f"{style}/{key}.webp") for key, style, _ in index]
    with ThreadPoolExecutor() as pool:
        arrays = list(pool.map(_decode, data))
    entries = [Picture(number[key], style, colour) for key, style, colour in index]
    named = [entry._replace(colour=_named_colour(things[entry.thing]) or entry.colour) for entry in entries]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2), named


def _decode(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _named_colour(thing: Thing) -> str:
    # a thing that is called red is red, whatever its pixels come to
    words = COLOUR_WORDS & set(thing.name.lower().split())
    return words.pop() if len(words) == 1 and not thing.subgroup.startswith("person") else ""


class Canvas:
    """The drawings with their outlines on the device, ready to be laid out."""

    def __init__(self, pictures: UInt8[Tensor, "n 3 224 224"], *, device: torch.device) -> None:
        """Cut every drawing out of its white ground."""
        moved = pictures.to(device)
        solid = torch.cat([_solid(part) for part in moved.split(1000)])
        self.large = torch.cat([moved * solid, solid * 255], dim=1)
        halves = [functional.avg_pool2d(part.half(), 2) for part in self.large.split(1000)]
        self.small = torch.cat([half.round().to(torch.uint8) for half in halves])
        self.device = device

    def compose(
        self,
        sprites: Int[Tensor, "n 4"],
        places: Float[Tensor, "n 4 3"],
        mirrored: Bool[Tensor, "n 4"],
        *,
        side: int,
        wild: float,
    ) -> Float[Tensor, "n 3 side side"]:
        """Return canvases from 0 to 1.

        Args:
            sprites: drawing per slot, -1 for none.
            places: centre (x, y) and half-size of each, in canvas units from -1 to 1.
            mirrored: whether a drawing is shown in mirror image.
            side: of the canvas in pixels.
            wild: 0 for none, 1 for all of the turning, shearing and tilting.
        """
        count = len(sprites)
        ground = _grounds(count, side, wild, self.device)
        turn = _transforms(places, mirrored, wild)
        for slot in range(SLOTS):
            rows = torch.nonzero(sprites[:, slot] >= 0).squeeze(1)
            if len(rows) == 0:
                continue
            # drawings that shrink below half are read from the half-size copy, against aliasing
            small = bool(places[rows, slot, 2].mean() * side < 130)
            drawn = (self.small if small else self.large)[sprites[rows, slot]].to(torch.float16) / 255
            warped = functional.grid_sample(drawn, _grid(turn[rows, slot], side).half(), align_corners=False).float()
            ground[rows] = ground[rows] * (1 - warped[:, 3:]) + warped[:, :3]
        return ground


def _solid(pictures: UInt8[Tensor, "n 3 height width"]) -> UInt8[Tensor, "n 1 height width"]:
    white = (pictures.amin(dim=1, keepdim=True) >= 240).half()
    outside = white.clone()
    outside[:, :, 1:-1, 1:-1] = 0
    for _ in range(500):
        outside = functional.max_pool2d(outside, 3, 1, 1) * white
    return (outside == 0).to(torch.uint8)


def _uniform(shape: tuple[int, ...], low: float, high: float, device: torch.device) -> Tensor:
    return torch.empty(shape, device=device).uniform_(low, high)


def _grounds(count: int, side: int, wild: float, device: torch.device) -> Tensor:
    colour = _uniform((count, 3, 1, 1), 0.25, 1.0, device) ** 0.6
    slope = _uniform((count, 3, 1, 1), -0.15, 0.15, device)
    across = torch.linspace(-1, 1, side, device=device).view(1, 1, 1, side)
    down = across.transpose(2, 3)
    ramp = torch.where(torch.rand(count, 1, 1, 1, device=device) < 0.5, across, down)
    coloured = (colour + slope * ramp).clamp(0, 1)
    plain = torch.rand(count, 1, 1, 1, device=device) >= 0.5 * wild
    return torch.where(plain, torch.ones_like(coloured), coloured).expand(count, 3, side, side).contiguous()


def _transforms(places: Tensor, mirrored: Tensor, wild: float) -> Tensor:
    """Return the maps from the canvas to each slot's drawing, n x 4 x 3 x 3."""
    shape = places.shape[:2]
    device = places.device
    angle = _uniform(shape, -0.35, 0.35, device) * wild * _uniform(shape, 0, 1, device)
    stretch = torch.exp(_uniform(shape, -0.18, 0.18, device) * wild)
    shear = _uniform(shape, -0.2, 0.2, device) * wild
    sign = 1.0 - 2.0 * mirrored.float()
    half = places[..., 2]
    zero, one = torch.zeros_like(half), torch.ones_like(half)
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=-1).unflatten(-1, (3, 3))
    scale = [half * stretch * sign, half * shear, zero, zero, half / stretch, zero]
    tilt = [_uniform(shape, -0.15, 0.15, device) * wild, _uniform(shape, -0.15, 0.15, device) * wild, one]
    size = torch.stack([*scale, *tilt], dim=-1).unflatten(-1, (3, 3))
    move = torch.stack([one, zero, places[..., 0], zero, one, places[..., 1], zero, zero, one], dim=-1)
    return torch.linalg.inv(move.unflatten(-1, (3, 3)) @ turn @ size)


def _grid(maps: Tensor, side: int) -> Tensor:
    line = (torch.arange(side, device=maps.device) + 0.5) * 2 / side - 1
    down, across = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([across, down, torch.ones_like(across)], dim=-1).view(1, -1, 3)
    found = points @ maps.transpose(1, 2)
    return (found[..., :2] / found[..., 2:].clamp_min(0.05)).clamp(-4, 4).view(len(maps), side, side, 2)


def vary(canvases: Float[Tensor, "n 3 side side"], keep_colour: Bool[Tensor, " n"]) -> Float[Tensor, "n 3 side side"]:
    """Return the canvases with other light, colours, sharpness and noise; colours stay where they are asked for."""
    count, device = len(canvases), canvases.device
    shape = (count, 1, 1, 1)
    free = (~keep_colour).view(shape).float()
    image = canvases * torch.exp(_uniform(shape, -0.25, 0.25, device) * (0.3 + 0.7 * free))
    middle = image.mean(dim=(1, 2, 3), keepdim=True)
    image = middle + (image - middle) * torch.exp(_uniform(shape, -0.3, 0.3, device))
    grey = image.mean(dim=1, keepdim=True)
    washed = (torch.rand(shape, device=device) < 0.08).float() * free
    saturation = torch.exp(_uniform(shape, -0.5, 0.5, device) * free) * (1 - washed)
    image = grey + (image - grey) * saturation
    image = _turn_hue(image, free)
    image = _soften(image)
    noise = _uniform(shape, -0.04, 0.05, device).clamp_min(0)
    return (image + noise * torch.randn_like(image)).clamp(0, 1)


def _turn_hue(image: Tensor, free: Tensor) -> Tensor:
    count, device = len(image), image.device
    wide = torch.rand(count, device=device) < 0.12
    angle = _uniform((count,), -0.2, 0.2, device) + wide * _uniform((count,), -0.8, 0.8, device)
    angle = angle * free.flatten()
    # a turn about the grey axis (Rodrigues)
    cos, sin = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    eye = torch.eye(3, device=device)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=device) / 3**0.5
    turn = cos * eye + sin * cross + (1 - cos) / 3
    return torch.einsum("nij,njhw->nihw", turn, image)


def _soften(image: Tensor) -> Tensor:
    rows = torch.nonzero(torch.rand(len(image), device=image.device) < 0.25).squeeze(1)
    for part, factor in zip(rows.chunk(3), (0.4, 0.55, 0.7), strict=False):
        if len(part):
            less = functional.interpolate(image[part], scale_factor=factor, mode="area")
            image[part] = functional.interpolate(less, image.shape[-2:], mode="bilinear", align_corners=False)
    return image


def normed(canvases: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n 3 side side"]:
    """Return canvases as the vision tower takes them."""
    mean = torch.tensor(MEAN, device=canvases.device).view(1, 3, 1, 1)
    return (canvases - mean) / torch.tensor(DEVIATION, device=canvases.device).view(1, 3, 1, 1)

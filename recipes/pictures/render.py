"""Turn each style's own files into square pictures on white."""

import io
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import cairosvg
import resvg_py
from PIL import Image, ImageChops, ImageOps

Picture = Image.Image


def slug(name: str) -> str:
    """Return `name` as the icon sets spell it: lower case, words joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"[’“”.']", "", name.lower())).strip("-")


def codepoints(hexcode: str) -> str:
    """Return a hexcode in lower case without variation selectors, on which the sets disagree."""
    return hexcode.lower().replace("-fe0f", "")


class Icons:
    """The icons of one Iconify set, looked up by name, alias or code point."""

    def __init__(self, folder: Path) -> None:
        """Read `icons.json`, and `chars.json` where the set has one."""
        icons = json.loads((folder / "icons.json").read_text())
        self._icons: dict[str, dict[str, Any]] = icons["icons"]
        self._parents = {name: alias["parent"] for name, alias in icons.get("aliases", {}).items()}
        self._size = (icons.get("width", 16), icons.get("height", 16))
        chars = folder / "chars.json"
        self._chars: dict[str, str] = json.loads(chars.read_text()) if chars.exists() else {}

    def find(self, *, hexcode: str, label: str) -> str | None:
        """Return the icon's name in this set, or None."""
        name = slug(label)
        guesses = [self._chars.get(codepoints(hexcode), ""), name, name.replace("flag-", "flag-for-", 1)]
        guesses += [name.replace("-", ""), f"{name}-1", f"{name}-face"]
        for guess in guesses:
            found = self._parents.get(guess, guess)
            if found in self._icons:
                return found
        return None

    def svg(self, name: str) -> str:
        """Return the icon as an SVG document."""
        icon = self._icons[name]
        width, height = icon.get("width", self._size[0]), icon.get("height", self._size[1])
        head = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
        return f'<svg {head} viewBox="{box}" width="{width}" height="{height}">{icon["body"]}</svg>'


@cache
def icons(folder: Path) -> Icons:
    """Return the icon set at `folder`, read once."""
    return Icons(folder)


def rasterise(svg: str, *, pixels: int) -> Picture:
    """Return an SVG document as RGBA, `pixels` wide."""
    try:
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=pixels))
    except ValueError:
        # resvg refuses documents without a usable size; cairo draws most of these
        png = cairosvg.svg2png(bytestring=svg.encode(), output_width=pixels)
    return Image.open(io.BytesIO(png)).convert("RGBA")


def on_white(picture: Picture, *, pixels: int, inner: int, trim: bool) -> Picture:
    """Return `picture` centred on a white square of side `pixels`, its longer side `inner`."""
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(picture.convert("RGBA"))
    flat = canvas.convert("RGB")
    if trim:
        box = ImageChops.difference(flat, Image.new("RGB", flat.size, "white")).getbbox()
        flat = flat.crop(box) if box else flat
    fitted = ImageOps.contain(flat, (inner, inner), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (pixels, pixels), "white")
    square.paste(fitted, ((pixels - fitted.width) // 2, (pixels - fitted.height) // 2))
    return square


def outlined(picture: Picture) -> Picture:
    """Return a rectangular flag with a thin grey edge, so that white stripes end somewhere."""
    inside = picture.convert("RGBA")
    edge = max(1, inside.width // 160)
    return ImageOps.expand(inside.crop((edge, edge, inside.width - edge, inside.height - edge)), edge, "#9a9a9a")


def draw(kind: str, path: Path, *, name: str, size: Mapping[str, int]) -> Picture:
    """Return the finished picture of one file (or of icon `name` in the set at `path`)."""
    pixels, inner = size["pixels"], size["inner"]
    if kind == "iconify":
        picture = rasterise(icons(path).svg(name), pixels=pixels)
    elif path.suffix == ".svg":
        picture = rasterise(path.read_text(errors="replace"), pixels=2 * pixels)
    else:
        picture = Image.open(path).convert("RGBA")
    if kind == "flag-svg" and picture.width != picture.height:
        picture = outlined(picture)
    return on_white(picture, pixels=pixels, inner=inner, trim=True)

"""Pack the pictures into one small archive for training, with each drawing's main colour.

    python recipes/smol/pack.py [--pictures build/pictures] [--out build/smol]

Writes `pictures.zip` (WebP, 224 px, quality 80) and `pictures.json` (key, style, main colour).
"""

import argparse
import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SMALL = 64
COLOURS = ("black", "white", "grey", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink")
PREVAILS = 0.55
Bytes = npt.NDArray[np.uint8]


def colour_numbers(rgb: Bytes) -> Bytes:
    """Return each pixel's colour as an index into `COLOURS`."""
    values = rgb.astype(np.float32) / 255
    top, low = values.max(-1), values.min(-1)
    span = np.maximum(top - low, 1e-6)
    red, green, blue = values[..., 0], values[..., 1], values[..., 2]
    hue = np.where(
        top == red, (green - blue) / span % 6, np.where(top == green, (blue - red) / span + 2, (red - green) / span + 4)
    )
    hue, saturation = hue * 60, span / np.maximum(top, 1e-6)
    bands = np.digitize(hue, [15, 42, 70, 165, 255, 290, 345])
    named = np.array([3, 4, 6, 7, 8, 9, 10, 3], np.uint8)[bands]
    named[(named == 4) & (top < 0.72)] = 5
    named[(named == 3) & (top > 0.85) & (saturation < 0.5)] = 10
    named[(named == 4) & (saturation < 0.3) & (top < 0.8)] = 5
    grey = saturation < 0.16
    named[grey] = 2
    named[grey & (top > 0.88)] = 1
    named[top < 0.2] = 0
    return named


def background(rgb: Bytes) -> npt.NDArray[np.bool_]:
    """Return which pixels of each picture are white and joined to its edge; n x side x side."""
    white = rgb.min(-1) >= 245
    found = white.copy()
    found[:, 1:-1, 1:-1] = False
    for _ in range(4 * rgb.shape[1]):
        grown = found.copy()
        grown[:, 1:] |= found[:, :-1]
        grown[:, :-1] |= found[:, 1:]
        grown[:, :, 1:] |= found[:, :, :-1]
        grown[:, :, :-1] |= found[:, :, 1:]
        grown &= white
        if (grown == found).all():
            break
        found = grown
    return found


def main_colours(pictures: Bytes) -> list[str]:
    """Return each picture's prevailing colour, or "" where none has 55 % of what is not background or outline."""
    colours = []
    for rgb, outside in zip(pictures, background(pictures), strict=True):
        counts = np.bincount(colour_numbers(rgb)[~outside], minlength=len(COLOURS))
        if counts[0] < 0.6 * counts.sum():
            # outlines are black in some styles
            counts[0] = 0
        best = int(counts.argmax())
        colours.append(COLOURS[best] if counts[best] > PREVAILS * max(counts.sum(), 1) else "")
    return colours


def encoded(files: Iterable[Path]) -> Iterable[tuple[bytes, Bytes]]:
    """Yield each picture as WebP bytes and as a small RGB array."""
    for path in files:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        buffer = io.BytesIO()
        picture.save(buffer, "webp", quality=80, method=4)
        yield buffer.getvalue(), np.asarray(picture.resize((SMALL, SMALL), Image.Resampling.BOX))


def main() -> None:
    """Write the archive and its index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, default=Path("build/pictures"))
    parser.add_argument("--out", type=Path, default=Path("build/smol"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    things = json.loads((args.pictures / "catalogue.json").read_text())["things"]
    index = [[thing["key"], style] for thing in things for style in thing["styles"]]
    small = []
    with zipfile.ZipFile(args.out / "pictures.zip", "w", zipfile.ZIP_STORED) as archive:
        files = (args.pictures / style / f"{key}.png" for key, style in index)
        for (key, style), (data, thumbnail) in zip(index, encoded(files), strict=True):
            archive.writestr(f"{style}/{key}.webp", data)
            small.append(thumbnail)
    colours = main_colours(np.stack(small))
    entries = [[key, style, colour] for (key, style), colour in zip(index, colours, strict=True)]
    (args.out / "pictures.json").write_text(json.dumps(entries))
    print(f"{len(entries)} pictures, {sum(map(bool, colours))} with a main colour")


if __name__ == "__main__":
    main()

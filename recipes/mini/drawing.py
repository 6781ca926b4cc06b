"""Write drawings as small PNG files: one thing, or two side by side."""

from pathlib import Path

from PIL import Image

SIDE = 224
HALF = SIDE // 2
MARGIN = 3
COLOURS = 128


def beside(left: Path, right: Path) -> Image.Image:
    """Return a white square with two drawings next to each other, at half their height."""
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    for place, path in enumerate((left, right)):
        side = HALF - 2 * MARGIN
        with Image.open(path) as drawing:
            small = drawing.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
        canvas.paste(small, (place * HALF + MARGIN, (SIDE - side) // 2))
    return canvas


def alone(path: Path) -> Image.Image:
    """Return one drawing as it is."""
    with Image.open(path) as drawing:
        return drawing.convert("RGB")


def save(picture: Image.Image, target: Path) -> None:
    """Write a picture with a palette of 128 colours; the same bytes for the same pixels."""
    target.parent.mkdir(parents=True, exist_ok=True)
    small = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(target, "PNG", optimize=True)

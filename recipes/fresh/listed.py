"""What the fresh set holds, for `manifest.json`: a test compares it with the mini benchmarks without the pictures."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from mmke.digests import sha256

DIGITS = 16
PICTURES = ("image", "image_rephrase", "one_hop_img", "m_loc")


def manifest(things: Mapping[str, str], out: Path) -> dict[str, Any]:
    """Return the set's files with their digests, how many records it has, its things and its pictures.

    Args:
        things: keys of the drawings' catalogue, by the names of the things.
        out: folder of the finished set.
    """
    records = {
        file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(out.glob("data_json/*_eval.json"))
    }
    pictures = sorted(
        {each[field] for some in records.values() for each in some for field in PICTURES if field in each}
    )
    return {
        "about": "What `make.py` made. Of each picture, the first digits of the sha256 of its RGB values.",
        "files": {file.name: sha256(file) for file in sorted(out.glob("data_json/*.json"))},
        "records": {name: len(some) for name, some in records.items()},
        "things": dict(sorted(things.items())),
        "pictures": {path: pixels(out / "data_image" / path) for path in pictures},
    }


def pixels(file: Path) -> str:
    """Return the first digits of the sha256 of a picture's RGB values, however its file was written."""
    with Image.open(file) as picture:
        return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()[:DIGITS]

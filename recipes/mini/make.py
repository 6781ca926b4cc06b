"""Make the benchmark `mini` from the written text and the pictures of `recipes/pictures`.

    python recipes/mini/make.py [--build build/pictures] [--out src/mmke/benchmarks/mini]

A second run writes the same bytes. Nothing is drawn by lot: styles are chosen by sha256, lists are dealt in order.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import drawing
from catalogue import load
from origins import Origins, styles
from records import KNOWLEDGE, SPLITS, Pair, Writer, read_texts

HERE = Path(__file__).parent


def write_json(value: Any, path: Path) -> None:
    """Write indented UTF-8 JSON with a final newline."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def draw(pictures: dict[str, Pair], *, build: Path, folder: Path) -> None:
    """Write every picture that a record names."""
    for path, drawings in pictures.items():
        paths = [one.path(build) for one in drawings]
        picture = drawing.alone(*paths) if len(paths) == 1 else drawing.beside(*paths)
        drawing.save(picture, folder / path)


def manifest(pictures: dict[str, Pair], origins: Origins) -> dict[str, Any]:
    """Return each picture's parts with their sources, and each style's package, licence and author."""
    files = {path: [origins.source(one) for one in drawings] for path, drawings in sorted(pictures.items())}
    used = {one.style for drawings in pictures.values() for one in drawings}
    about = (
        "Each picture with the drawing it shows (two: side by side, left first). `style` is explained under `styles`, "
        "`file` is the file in its package, `seen` says whether the small models were trained on this drawing or it "
        "was held out. All were scaled and reduced to 128 colours."
    )
    return {"about": about, "styles": styles(origins, used), "pictures": files}


def main() -> None:
    """Write annotations, pictures and manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/pictures"))
    parser.add_argument("--out", type=Path, default=Path("src/mmke/benchmarks/mini"))
    args = parser.parse_args()
    catalogue, texts = load(args.build), read_texts(HERE / "text")
    pictures: dict[str, Pair] = {}
    for kind in KNOWLEDGE:
        for split in SPLITS:
            writer = Writer(catalogue, texts, kind=kind, split=split)
            records = list(writer.records())
            write_json(records, args.out / "data_json" / f"{kind}_{split}.json")
            pictures |= writer.pictures
            print(f"{kind}_{split}: {len(records)} records")
    folder = args.out / "data_image"
    shutil.rmtree(folder, ignore_errors=True)
    draw(pictures, build=args.build, folder=folder)
    write_json(manifest(pictures, Origins(catalogue, args.build)), folder / "manifest.json")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{len(pictures)} pictures, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

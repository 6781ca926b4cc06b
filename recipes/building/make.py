"""Make the data of the builder's source `mini`: things, pictures, and pools of unrelated facts and pictures.

    python recipes/building/make.py [--build build/pictures] [--package src/mmke]

A second run writes the same bytes. Nothing is drawn by lot: drawings are chosen by sha256.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "mini"))

from catalogue import load
from choosing import Chooser, shipped_pictures
from countries import read_knowledge
from origins import Origins, styles
from pool import companions, facts, unrelated
from tables import KINDS, Row, table, written

PICTURES = {"entity": 2, "semantic": 3, "user": 3}
"""How many each thing gets: of semantic and user knowledge one is shown beside another thing."""


def write_lines(found: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write JSON lines in UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(each, ensure_ascii=False) for each in found)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def things(rows: Iterable[Row], chooser: Chooser, *, wanted: int, package: Path) -> list[dict[str, Any]]:
    """Return the lines of one kind: each thing and its pictures, as paths in the package."""
    found = []
    for row in rows:
        chosen = chooser.choose(row.drawn, wanted, without=row.without)
        if len(chosen) == wanted:
            paths = [chooser.used[each].relative_to(package).as_posix() for each in chosen]
            found.append({"thing": row.thing, "pictures": paths})
    return found


def main() -> None:
    """Write everything and say what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/pictures"))
    parser.add_argument("--package", type=Path, default=Path("src/mmke"))
    args = parser.parse_args()
    catalogue, knowledge = load(args.build), read_knowledge(args.build)
    benchmark, out = args.package / "benchmarks/mini", args.package / "build/sources/mini"
    manifest = json.loads((benchmark / "data_image/manifest.json").read_text(encoding="utf-8"))
    shipped = shipped_pictures(benchmark / "data_image", manifest["pictures"])
    template = tomllib.loads((args.package / "build/build.template.toml").read_text(encoding="utf-8"))
    distance = template["collect"]["duplicate_distance"]
    own, edited, used = out / "pictures", set(), {}
    for kind in KINDS:
        rows = [
            *(knowledge.rows(table("countries.toml")) if kind == "entity" else []),
            *written(kind, knowledge.further),
        ]
        chooser = Chooser(catalogue, args.build, shipped, own, distance)
        found = things(rows, chooser, wanted=PICTURES[kind], package=args.package)
        write_lines(found, out / f"things/{kind}.jsonl")
        edited |= {row.drawn for row in rows}
        used |= chooser.used
        print(f"{kind}: {len(found)} things; too few drawings: {chooser.missing or 'none'}")
    chooser = Chooser(catalogue, args.build, {}, own, distance)
    elsewhere = unrelated(benchmark, catalogue, package=args.package, edited=edited)
    taken = edited | {each["name"] for each in elsewhere}
    write_lines(companions(catalogue, chooser, package=args.package, taken=taken), out / "pool/companions.jsonl")
    used |= chooser.used
    write_lines(elsewhere, out / "pool/pictures.jsonl")
    write_lines(facts(benchmark), out / "pool/facts.jsonl")
    added = sorted(drawing for drawing, path in used.items() if path.parent == own)
    for path in own.glob("*.png"):
        if path.name not in {used[drawing].name for drawing in added}:
            path.unlink()
    origins = Origins(catalogue, args.build)
    files = {used[drawing].name: [origins.source(drawing)] for drawing in added}
    about = "As in the manifest of the benchmark mini: each picture with the drawing it shows, reduced to 128 colours."
    listed = {"about": about, "styles": styles(origins, {each.style for each in added}), "pictures": files}
    (own / "manifest.json").write_text(json.dumps(listed, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    size = sum(path.stat().st_size for path in own.iterdir())
    print(f"{len(added)} pictures added, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

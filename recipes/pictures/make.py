"""Fetch the packages, draw every thing in every style it has, and write the catalogue.

    python recipes/pictures/make.py [--build build/pictures] [--jobs 2]

Needs npm, apt-get (Debian), and the Python packages resvg-py, cairosvg and pillow. A second run redraws
nothing that is there. Everything that is chosen is chosen by the sha256 of a thing's key.
"""

import argparse
import hashlib
import json
import logging
import sys
import tomllib
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from fetch import fetch, folder_of, packages
from render import codepoints, draw, icons
from semaphore import signaller
from things import Thing, country_facts, emoji, extras, signs

HERE = Path(__file__).parent
log = logging.getLogger(__name__)


class Job(NamedTuple):
    """One picture to draw."""

    key: str
    style: str
    kind: str
    path: Path
    name: str


def load_table(name: str) -> dict[str, Any]:
    """Read one of the recipe's TOML tables."""
    return tomllib.loads((HERE / name).read_text())


def all_things(sources: Mapping[str, Any], build: Path) -> list[Thing]:
    """Return every thing, flags with their facts, names made distinct."""
    facts = {role: folder_of(package, build) for role, package in sources["facts"].items()}
    things = [*emoji(facts["names"]), *extras(folder_of(sources["styles"]["openmoji"]["package"], build))]
    things += signs(load_table("signs.toml"))
    seen: dict[str, Thing] = {}
    for thing in things:
        known = country_facts(thing.code, countries=facts["countries"], continents=facts["continents"])
        full = replace(thing, facts={**thing.facts, **known})
        # an extra with the name of an emoji is the same thing drawn again: leave it out
        seen.setdefault(full.name.lower(), full)
    return list(seen.values())


def find(thing: Thing, style: str, source: Mapping[str, Any], index: Mapping[str, Path], folder: Path) -> Job | None:
    """Return the job that draws `thing` in `style`, or None where this artist did not draw it."""
    kind = source["kind"]
    if kind == "drawn":
        return Job(thing.key, style, kind, Path(), thing.files[style]) if style in thing.files else None
    if kind == "clipart":
        return Job(thing.key, style, kind, folder / thing.files[style], "") if style in thing.files else None
    if kind == "iconify":
        name = icons(folder).find(hexcode=thing.hexcode, label=thing.label) if thing.hexcode else None
        return Job(thing.key, style, kind, folder, name) if name else None
    code = thing.code if kind.startswith("flag") else codepoints(thing.hexcode)
    return Job(thing.key, style, kind, index[code], "") if code and code in index else None


def file_index(kind: str, folder: Path) -> dict[str, Path]:
    """Return the files of one style by country code or code point."""
    if kind in {"iconify", "drawn", "clipart"}:
        return {}
    return {
        codepoints(path.stem): path for path in sorted(folder.iterdir()) if path.suffix in {".svg", ".png", ".webp"}
    }


def hold_out(thing: Thing, styles: Mapping[str, Any], drawn: set[str], rule: Mapping[str, Any]) -> str | None:
    """Return the style whose artist is kept out of training for this thing, or None."""
    families = {styles[style]["family"] for style in drawn}
    candidates = [style for style in rule["candidates"] if style in drawn]
    digest = hashlib.sha256(thing.key.encode()).digest()
    if len(families) < 3 or not candidates or digest[0] / 256 >= rule["share"]:
        return None
    return candidates[int.from_bytes(digest[1:5], "big") % len(candidates)]


def run_job(job: Job, build: Path, size: Mapping[str, int]) -> str | None:
    """Draw one picture unless it is there; return what went wrong, or None."""
    target = build / job.style / f"{job.key}.png"
    if target.exists():
        return None
    try:
        if job.kind == "drawn":
            picture = signaller([int(arm) for arm in job.name.split(",")], pixels=size["pixels"])
        else:
            picture = draw(job.kind, job.path, name=job.name, size=size)
    except Exception as problem:  # noqa: BLE001  one of thousands of foreign files; reported and left out
        return f"{job.style}/{job.key}: {problem}"
    target.parent.mkdir(parents=True, exist_ok=True)
    picture.save(target)
    return None


def entry(thing: Thing, drawn: set[str], sources: Mapping[str, Any]) -> dict[str, Any]:
    """Return the catalogue's entry; the held-out artist's other drawings are left out altogether."""
    styles = sources["styles"]
    out = hold_out(thing, styles, drawn, sources["holding_out"])
    siblings = {style for style in drawn if out and styles[style]["family"] == styles[out]["family"]} - {out}
    return {
        "key": thing.key,
        "name": thing.name,
        "group": thing.group,
        "subgroup": thing.subgroup,
        "styles": [style for style in styles if style in drawn - siblings],
        "trained": [style for style in styles if style in drawn - siblings - {out}],
        "held_out": out,
        "facts": thing.facts,
    }


def main() -> None:
    """Build the pictures and their catalogue."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/pictures"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    sources = load_table("sources.toml")
    for package, debian in packages(sources).items():
        fetch(package, args.build, debian=debian)
    things = all_things(sources, args.build)
    jobs: list[Job] = []
    for style, source in sources["styles"].items():
        folder = folder_of(source["package"], args.build) / source.get("folder", ".")
        index = file_index(source["kind"], folder)
        jobs += [job for thing in things if (job := find(thing, style, source, index, folder))]
    with ProcessPoolExecutor(args.jobs) as pool:
        count = len(jobs)
        problems = list(pool.map(run_job, jobs, [args.build] * count, [sources["size"]] * count, chunksize=64))
    drawn: dict[str, set[str]] = {}
    for job, problem in zip(jobs, problems, strict=True):
        if problem:
            log.warning("left out: %s", problem)
        else:
            drawn.setdefault(job.key, set()).add(job.style)
    entries = [entry(thing, drawn[thing.key], sources) for thing in things if thing.key in drawn]
    catalogue = {"styles": sources["styles"], "size": sources["size"], "things": entries}
    (args.build / "catalogue.json").write_text(json.dumps(catalogue, indent=1, ensure_ascii=False) + "\n")
    held = sum(1 for item in entries if item["held_out"])
    log.info("%d things, %d pictures, %d things with a held-out style", len(entries), len(jobs), held)


if __name__ == "__main__":
    main()

"""Make edits that only fill a memory: 1,000 other things than the mini benchmarks and the fresh set show.

    python recipes/fresh/distractors.py [--build build/pictures] [--fresh build/fresh-set] [--out build/distractors]
    python recipes/fresh/distractors.py --after build/distractors --out build/distractors-2

Needs the fresh set, whose pictures are avoided. Writes `edits.json` and the pictures that it names, for
`mmke stream --distract 1000 --distract-from build/distractors/edits.json`, and a list named like the folder beside this
file. A second run writes the same bytes: everything is drawn by a generator that begins with the thing's key. With
`--after`, pictures and texts are others than in the folder named there, and things that it does not show come first.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import string
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from folder import TEXT, Catalogue, Drawing, Thing, drawing, load, shown
from listed import pixels
from PIL import Image

from mmke.build.collect.prints import Known, prints_of

MINI = Path("src/mmke/benchmarks/mini")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Words:
    """The table `distractors.toml`."""

    table: Mapping[str, Any]

    def kind_and_noun(self, thing: Thing) -> tuple[str, str] | None:
        """Return the kind of knowledge and the noun of a thing; None where its subgroup has none."""
        for kind, nouns in self.table["nouns"].items():
            for noun, subgroups in nouns.items():
                if thing.subgroup in subgroups:
                    return kind, noun
        return None

    def town(self, draw: random.Random) -> str:
        """Return a made-up town."""
        return self._made(draw, "begin", "middle", "town")

    def person(self, draw: random.Random) -> str:
        """Return a made-up person."""
        return f"{self._made(draw, 'begin', 'middle')} {self._made(draw, 'begin', 'middle', 'family')}"

    def _made(self, draw: random.Random, *parts: str) -> str:
        return "".join(draw.choice(self.table["syllables"][part]) for part in parts)

    def filled(self, text: str, draw: random.Random, known: Mapping[str, str]) -> str:
        """Return a text with its places filled: by what is known, else by a draw."""
        names = [name for _, name, _, _ in string.Formatter().parse(text) if name]
        whole = text.format(**{name: known.get(name) or self._drawn(name, draw) for name in names})
        return re.sub(r"\b([Aa]) (?=[AEIOaeio])", r"\1n ", whole)

    def _drawn(self, place: str, draw: random.Random) -> str:
        if place in ("person", "person2"):
            return self.person(draw)
        if place == "year":
            return str(draw.randrange(1650, 2024))
        made = {"town": self.town, "pet": lambda each: self._made(each, "begin", "pet")}
        return made[place](draw) if place in made else str(draw.choice(self.table["lists"][place]))


@dataclass
class Writer:
    """Writes edits: no description, and no person that one is about, is there twice.

    Attributes:
        words: the table.
        seed: of what is drawn.
        taken: descriptions and persons that are there already.
    """

    words: Words
    seed: str
    taken: set[str] = field(default_factory=set)

    def edit(self, thing: Thing, called: str, picture: str) -> dict[str, str]:
        """Return an edit of a thing that is said to be called otherwise."""
        for attempt in range(100):
            draw = random.Random(f"{self.seed} {thing.key} {attempt}")  # noqa: S311 - a draw, not a secret
            query, target, person = self._texts(thing, called, draw)
            if {target, person}.isdisjoint(self.taken):
                self.taken |= {target, person}
                return {"query": query, "target": target, "image": picture}
        raise SystemExit(f"no new text for {thing.name!r} in 100 draws; give distractors.toml longer lists")

    def _texts(self, thing: Thing, called: str, draw: random.Random) -> tuple[str, str, str]:
        table = self.words.table
        kind, noun = self.words.kind_and_noun(thing) or ("", "")
        person = self.words.person(draw)
        known = {"person": person, "name": called, "town": self.words.town(draw)}
        if kind == "user":
            known |= {"name": person, "person": self.words.person(draw), "year": str(draw.randrange(1970, 2024))}
        elif noun == "person":
            known["person2"] = person
        query = self.words.filled(draw.choice(table["prompts"][noun]), draw, known)
        sentences = [draw.choice(table["first"][noun]), *draw.sample(table["more"][noun], k=draw.choice((2, 3)))]
        # The same town twice in a text would be no mistake, but two persons must not be one.
        return query, " ".join(self.words.filled(each, draw, known) for each in sentences), person


def free_things(catalogue: Catalogue, words: Words) -> list[Thing]:
    """Return the things that no record shows or names, and that have a noun, ordered by the sha256 of their key."""
    mini, fresh = _read(MINI / "data_image/manifest.json")["pictures"], _read(HERE / "manifest.json")["things"]
    taken = {*(part["thing"] for parts in mini.values() for part in parts), *fresh.values()}
    names = {*named_by_mini(), *(name.lower() for name in fresh)}
    free = [
        each
        for each in catalogue.things.values()
        if each.key not in taken and plain(each.name) not in names and words.kind_and_noun(each)
    ]
    return sorted(free, key=lambda each: order(each.key, "distractor"))


def order(key: str, seed: str) -> bytes:
    """Return what things are ordered by."""
    return hashlib.sha256(f"{seed} {key}".encode()).digest()


def keys_of(folder: Path | None) -> set[str]:
    """Return the keys of the things that other distractors show, by their list beside this file."""
    return set() if folder is None else {each["key"] for each in _read(HERE / f"{folder.name}.json")["things"].values()}


def named_by_mini() -> Iterator[str]:
    """Yield what the records of the mini benchmarks edit, say, set beside or ask about."""
    for file in sorted((MINI / "data_json").glob("*.json")):
        for record in _read(file):
            for name in (*(record["tags"].get(tag, "") for tag in ("subject", "becomes", "beside")), record["m_loc_a"]):
                yield plain(name)


def plain(name: str) -> str:
    """Return a name in small letters, of a flag that of its country."""
    return name.lower().removeprefix("flag of ")


def drawings(things: Sequence[Thing], known: Known, build: Path, seed: str) -> Iterator[tuple[Thing, Drawing]]:
    """Yield a drawing of each thing that looks like none before it, and like none of the records; some have none."""
    for thing in things:
        styles = [*thing.trained, *([thing.held_out] if thing.held_out else [])]
        styles.sort(key=lambda style, key=thing.key: hashlib.sha256(f"{key} {seed} {style}".encode()).digest())
        for style in styles:
            each = Drawing(thing.key, style)
            with Image.open(each.path(build)) as picture:
                prints = prints_of(picture.convert("RGB"))
            if known.twin(prints) is None:
                known.add(f"{each.key}.{each.style}", prints)
                yield thing, each
                break


def renamed(things: Sequence[Thing], words: Words) -> dict[str, str]:
    """Return what each thing is said to be, by its key: the next one of its noun, so that every name is given once."""
    by_noun: dict[str, list[Thing]] = {}
    for thing in things:
        by_noun.setdefault("/".join(words.kind_and_noun(thing) or ()), []).append(thing)
    found = {}
    for some in by_noun.values():
        for n, thing in enumerate(some):
            found[thing.key] = some[(n + 1) % len(some)].name.removeprefix("flag of ")
    return found


def main() -> None:
    """Write the edits, their pictures, and the list of their things."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/pictures"))
    parser.add_argument("--fresh", type=Path, default=Path("build/fresh-set"))
    parser.add_argument("--out", type=Path, default=Path("build/distractors"))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--after", type=Path, help="folder of other distractors")
    args = parser.parse_args()
    seed = "distractor" if args.after is None else "distractor 2"
    words = Words(tomllib.loads((TEXT / "distractors.toml").read_text(encoding="utf-8")))
    known = shown([MINI / "data_image", args.fresh / "data_image", *([args.after] if args.after else [])])
    before = keys_of(args.after)
    things = sorted(free_things(load(args.build), words), key=lambda thing: thing.key in before)
    found = list(drawings(things, known, args.build, seed))
    chosen = sorted(found[: args.count], key=lambda each: order(each[0].key, seed))
    kinds = Counter((words.kind_and_noun(thing) or ("",))[0] for thing, _ in chosen)
    print(f"{len(chosen)} of {len(found)} things with a picture that looks like no other: {dict(kinds)}")
    if args.after is not None:
        print(f"{sum(thing.key not in before for thing, _ in chosen)} of them are not shown by {args.after}")
    shutil.rmtree(args.out, ignore_errors=True)
    called, writer = renamed([thing for thing, _ in chosen], words), Writer(words, seed)
    edits, listed = [], {}
    for thing, each in chosen:
        name = f"pictures/{each.key}.{each.style}.png"
        drawing.save(drawing.alone(each.path(args.build)), args.out / name)
        edits.append(writer.edit(thing, called[thing.key], name))
        listed[thing.name] = {"key": thing.key, "style": each.style, "pixels": pixels(args.out / name)}
    text = json.dumps(edits, indent=1, ensure_ascii=False) + "\n"
    (args.out / "edits.json").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(each)}" for key, each in listed.items())
    (HERE / f"{args.out.name}.json").write_text(
        f'{{\n "edits": "{digest}",\n "things": {{\n{lines}\n }}\n}}\n', "utf-8"
    )


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

"""Write the questions of `mmke abilities`: about drawings of the package that were held out of training.

    python recipes/smol/held_out.py [--pictures build/pictures] [--out src/mmke/abilities/held_out.jsonl]

Needs the pictures of recipes/pictures, whose catalogue knows the things. A second run writes the same bytes.
"""

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from compose import COLOUR_WORDS
from measure import QUESTION, UNSEEN
from pack import SMALL, main_colours
from PIL import Image
from questions import FACTS, Asked, Asker, Shown
from things import Thing, load_things, read_table

MINI = Path("src/mmke/benchmarks/mini/data_image")


def held_out(manifest: Path) -> dict[str, str]:
    """Return for each thing with a held-out drawing in the package the path of that picture."""
    pictures = json.loads(manifest.read_text())["pictures"]
    alone = {path: parts[0] for path, parts in sorted(pictures.items()) if len(parts) == 1}
    return {part["thing"]: path for path, part in alone.items() if part["seen"] == "held-out"}


def colour_of(thing: Thing, drawing: Path) -> str:
    """Return the colour that a thing is called by, or that prevails in its drawing; "" where there is none."""
    words = COLOUR_WORDS & set(thing.name.lower().split())
    if len(words) == 1 and not thing.subgroup.startswith("person"):
        return words.pop()
    with Image.open(drawing) as opened:
        small = np.asarray(opened.convert("RGB").resize((SMALL, SMALL), Image.Resampling.BOX))
    return main_colours(small[None])[0]


def asked(shown: Shown, asker: Asker, rng: random.Random) -> Iterator[tuple[str, Asked]]:
    """Yield every question about one drawing with the name of its kind."""
    yield "name", Asked(QUESTION, shown.thing.name, "name")
    yield "name-new-wording", Asked(UNSEEN, shown.thing.name, "name")
    for kind in ("category", "colour", "meaning", *FACTS):
        item = asker.single(shown, kind, rng)
        if item is not None:
            yield kind, item


def main() -> None:
    """Write the questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, default=Path("build/pictures"))
    parser.add_argument("--out", type=Path, default=Path("src/mmke/abilities/held_out.jsonl"))
    args = parser.parse_args()
    things = load_things(args.pictures / "catalogue.json")
    by_key = {thing.key: thing for thing in things}
    asker = Asker(read_table("wordings.toml"), things)
    rng = random.Random(7)  # noqa: S311
    lines = []
    for key, picture in sorted(held_out(MINI / "manifest.json").items()):
        thing = by_key[key]
        drawing = args.pictures / str(thing.held_out) / f"{key}.png"
        for kind, item in asked(Shown(thing, colour_of(thing, drawing)), asker, rng):
            plain = {"id": f"{key}-{kind}", "kind": kind, "picture": picture}
            lines.append(json.dumps(plain | {"question": item.question, "answer": item.answer}, ensure_ascii=False))
    args.out.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} questions")


if __name__ == "__main__":
    main()

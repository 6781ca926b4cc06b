"""Measure a small backbone as it is loaded: naming, questions, things side by side, with and without the picture.

    python recipes/smol/measure.py llava [--limit 300] [--device cpu] [--json FILE]

Greedy decoding over the whole vocabulary of the language model; an answer counts if it equals the expected one
after lower case, articles and end punctuation are taken away. `held-out` pictures are drawings by an artist none of
whose drawings of that thing was trained on. Needs the pictures of recipes/pictures and `pictures.json` of pack.py
(main colours).
"""

import argparse
import json
import random
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from answering import answers, normal
from compose import COLOUR_WORDS
from PIL import Image
from questions import FACTS, Asked, Asker, Shown
from things import Thing, load_things, read_table
from torch import Tensor

from mmke.backbones.smol.language import load_tokenizer
from mmke.backbones.smol.parts import SmolLlava, SmolMiniGPT4, load_smol_llava, load_smol_minigpt4
from mmke.backbones.smol.vision import preprocess

Parts = SmolLlava | SmolMiniGPT4
LOADERS: dict[str, Callable[[torch.dtype], Parts]] = {"llava": load_smol_llava, "minigpt4": load_smol_minigpt4}
QUESTION = "What is shown in the image?"
UNSEEN = "What do we see in this picture?"
TEXT_FACTS = {
    "The capital of France is": "Paris",
    "The capital of Japan is": "Tokyo",
    "The capital of Italy is": "Rome",
    "The capital of Egypt is": "Cairo",
    "The capital of Germany is": "Berlin",
    "The capital of Spain is": "Madrid",
    "The opposite of hot is": "cold",
    "The opposite of big is": "small",
    "The currency of Japan is the": "yen",
    "The largest planet in the solar system is": "Jupiter",
    "The chemical symbol of gold is": "Au",
    "A baby dog is called a": "puppy",
}


class Drawing(NamedTuple):
    """A drawing to ask about."""

    thing: Thing
    style: str
    colour: str


class Gallery:
    """The pictures, from the folder of recipes/pictures or from the packed archive."""

    def __init__(self, folder: Path, packed: Path) -> None:
        """Prefer the folder where it exists."""
        self._folder = folder if folder.is_dir() else None
        self._archive = None if self._folder else zipfile.ZipFile(packed / "pictures.zip")

    def open(self, drawing: Drawing) -> Image.Image:
        """Return one drawing."""
        if self._folder:
            return Image.open(self._folder / drawing.style / f"{drawing.thing.key}.png").convert("RGB")
        assert self._archive is not None  # noqa: S101
        with self._archive.open(f"{drawing.style}/{drawing.thing.key}.webp") as file:
            return Image.open(file).convert("RGB")


class Measurer:
    """A loaded backbone that is asked about lists of pictures."""

    def __init__(self, model: str, device: str) -> None:
        """Load the backbone as the library does."""
        begin = time.monotonic()
        self.parts: Parts = LOADERS[model](torch.float32)
        self.parts.to(device)
        self.tokenizer = load_tokenizer()
        self.load_seconds = time.monotonic() - begin

    @torch.no_grad()
    def look(self, pictures: Sequence[Image.Image]) -> Tensor:
        """Return the image tokens of pictures."""
        pixels = [preprocess(picture) for picture in pictures]
        device = self.parts.language_model.device
        return torch.cat(
            [self.parts.image_tokens(torch.stack(pixels[at : at + 64]).to(device)) for at in range(0, len(pixels), 64)]
        )

    def right(self, tokens: Tensor | None, asked: Sequence[Asked]) -> list[bool]:
        """Return whether each question is answered exactly, about the picture of its row or, for None, without one."""
        found: list[bool] = []
        for at in range(0, len(asked), 1024):
            part = asked[at : at + 1024]
            images = None if tokens is None else tokens[at : at + 1024]
            said = answers(self.parts, images, [item.question for item in part], self.tokenizer)
            found += [normal(text) == normal(item.answer) for text, item in zip(said, part, strict=True)]
        return found


def spaced(items: Sequence[Drawing], limit: int) -> list[Drawing]:
    """Return at most `limit` items, evenly spaced; all for 0."""
    return list(items) if limit == 0 or len(items) <= limit else [items[i * len(items) // limit] for i in range(limit)]


def copies(picture: Image.Image, number: int) -> Image.Image:
    """Return `number` copies on one white canvas: alone at the middle, in a row of two, or in a square."""
    canvas = Image.new("RGB", (224, 224), "white")
    cells = {1: [(62, 62)], 2: [(6, 62), (118, 62)]}.get(number, [(6, 6), (118, 6), (6, 118), (118, 118)][:number])
    for cell in cells:
        canvas.paste(picture.resize((100, 100), Image.Resampling.LANCZOS), cell)
    return canvas


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Return two pictures beside each other on a white square."""
    canvas = Image.new("RGB", (224, 224), "white")
    for picture, x in ((left, 2), (right, 114)):
        canvas.paste(picture.resize((108, 108), Image.Resampling.LANCZOS), (x, 58))
    return canvas


def questions(drawings: Sequence[Drawing], asker: Asker, rng: random.Random) -> list[tuple[Drawing, Asked, int]]:
    """Return, for each drawing, a question of every kind that has an answer, with the copies shown (0: as it is)."""
    asked: list[tuple[Drawing, Asked, int]] = []
    for drawing in drawings:
        shown = Shown(drawing.thing, drawing.colour)
        kinds = [
            "colour",
            "category",
            "meaning",
            rng.choice([kind for kind in FACTS if kind in drawing.thing.facts] or ["meaning"]),
        ]
        for kind in dict.fromkeys(kinds):
            item = asker.single(shown, kind, rng)
            asked += [(drawing, item, 0)] if item else []
        if drawing.thing.may_be_counted:
            number = rng.randint(1, 4)
            asked.append((drawing, asker.count(shown, number, rng), number))
    return asked


def commonest(asked: Sequence[Asked]) -> list[bool]:
    """Return which answers the commonest answer of their kind would get right: what one can know without looking."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in asked:
        counts[item.kind][item.answer] += 1
    best = {kind: count.most_common(1)[0][0] for kind, count in counts.items()}
    return [item.answer == best[item.kind] for item in asked]


def ask_facts(measurer: Measurer, gallery: Gallery, drawings: Sequence[Drawing], asker: Asker) -> dict[str, Any]:
    """Return the shares of facts about flags and of meanings of signs and gestures, kind by kind."""
    rng = random.Random(7)  # noqa: S311
    rows, kinds, asked = [], [], []
    for row, drawing in enumerate(drawings):
        for kind in ("meaning", *FACTS):
            item = asker.single(Shown(drawing.thing, drawing.colour), kind, rng)
            if item:
                rows.append(row)
                kinds.append(kind)
                asked.append(item)
    tokens = measurer.look([gallery.open(drawing) for drawing in drawings])
    return shares(kinds, measurer.right(tokens[torch.tensor(rows, device=tokens.device)], asked))


def shares(kinds: Sequence[str], right: Sequence[bool]) -> dict[str, list[float]]:
    """Return the share and the number of right answers by kind and over all."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for kind, good in zip(kinds, right, strict=True):
        groups[kind].append(good)
        groups["all"].append(good)
    return {kind: [sum(good) / len(good), len(good)] for kind, good in groups.items()}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return every figure."""
    things = load_things(args.catalogue)
    colours = {(key, style): colour for key, style, colour in json.loads((args.packed / "pictures.json").read_text())}
    gallery, measurer = Gallery(args.pictures, args.packed), Measurer(args.model, args.device)

    def drawing(thing: Thing, style: str) -> Drawing:
        words = COLOUR_WORDS & set(thing.name.lower().split())
        named = words.pop() if len(words) == 1 and not thing.subgroup.startswith("person") else ""
        return Drawing(thing, style, named or colours[thing.key, style])

    sets = {
        "trained": [drawing(thing, style) for thing in things for style in thing.trained],
        "held-out": [drawing(thing, thing.held_out) for thing in things if thing.held_out],
    }
    figures: dict[str, Any] = {
        "load seconds": measurer.load_seconds,
        "vocabulary": len({thing.name for thing in things}),
    }
    asker = Asker(read_table("wordings.toml"), things)
    for name, drawings in sets.items():
        if args.set not in {name, "both"}:
            continue
        knowing = [item for item in drawings if item.thing.facts or item.thing.meaning]
        figures[f"facts and meanings, {name}"] = ask_facts(measurer, gallery, spaced(knowing, args.asked), asker)
        print(json.dumps(figures, indent=1), flush=True)
        if args.facts_only:
            continue
        chosen = spaced(drawings, args.limit)
        tokens = measurer.look([gallery.open(item) for item in chosen])
        for wording, question in (("", QUESTION), (", unseen wording", UNSEEN)):
            right = measurer.right(tokens, [Asked(question, item.thing.name, "name") for item in chosen])
            figures[f"naming, {name}{wording}"] = [sum(right) / len(right), len(right)]
        figures |= ask(measurer, gallery, name, spaced(drawings, args.asked), things)
        print(json.dumps(figures, indent=1), flush=True)
    said = answers(measurer.parts, None, list(TEXT_FACTS), measurer.tokenizer, limit=4)
    good = [normal(text).startswith(normal(fact)) for text, fact in zip(said, TEXT_FACTS.values(), strict=True)]
    figures["text facts without a picture"] = [sum(good) / len(good), len(good)]
    return figures


def ask(
    measurer: Measurer, gallery: Gallery, name: str, drawings: list[Drawing], things: list[Thing]
) -> dict[str, Any]:
    """Return the figures of questions and pairs for one set of drawings."""
    rng = random.Random(7)  # noqa: S311
    figures: dict[str, Any] = {}
    wordings = read_table("wordings.toml")
    canvases: dict[tuple[str, int], int] = {}
    pictures: list[Image.Image] = []
    batches = {}
    for label, unseen in (("", False), (", unseen wordings", True)):
        batches[label] = questions(drawings, Asker(wordings, things, unseen=unseen), rng)
        for item, _, number in batches[label]:
            if (item.thing.key, number) not in canvases:
                canvases[item.thing.key, number] = len(pictures)
                pictures.append(copies(gallery.open(item), number) if number else gallery.open(item))
    tokens = measurer.look(pictures)
    for label, items in batches.items():
        rows = torch.tensor([canvases[item.thing.key, number] for item, _, number in items], device=tokens.device)
        asked = [question for _, question, _ in items]
        kinds = [question.kind for question in asked]
        figures[f"questions, {name}{label}"] = shares(kinds, measurer.right(tokens[rows], asked))
        if not label:
            figures[f"questions, {name}, commonest answer"] = shares(kinds, commonest(asked))
            figures[f"questions, {name}, without the picture"] = shares(kinds, measurer.right(None, asked))
    mixed = rng.sample(drawings, len(drawings))
    pairs = [(one, two) for one, two in zip(drawings, mixed, strict=True) if one.thing.name != two.thing.name][:500]
    tokens = measurer.look([side_by_side(gallery.open(one), gallery.open(two)) for one, two in pairs])
    forms = {
        "left": [Asked("What is on the left of the picture?", one.thing.name, "left") for one, _ in pairs],
        "right": [Asked("What is on the right of the picture?", two.thing.name, "right") for _, two in pairs],
        "both": [
            Asked("What two things are shown?", f"{one.thing.name} and {two.thing.name}", "both") for one, two in pairs
        ],
        "next to": [Asked(f"What is next to the {one.thing.name}?", two.thing.name, "next to") for one, two in pairs],
    }
    for form, asked in forms.items():
        right = measurer.right(tokens, asked)
        figures[f"side by side, {name}, {form}"] = [sum(right) / len(right), len(right)]
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(LOADERS))
    parser.add_argument("--limit", type=int, default=0, help="drawings per set to name, 0 for all")
    parser.add_argument("--asked", type=int, default=1500, help="drawings per set to ask questions about")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=Path, default=Path("build/pictures"))
    parser.add_argument("--packed", type=Path, default=Path("build/smol"))
    parser.add_argument("--catalogue", type=Path, default=Path("build/smol/catalogue.json"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--set", choices=["trained", "held-out", "both"], default="both")
    parser.add_argument("--facts-only", action="store_true", help="only facts about flags and meanings")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    begin = time.monotonic()
    figures = measure(args)
    figures["seconds"] = time.monotonic() - begin
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

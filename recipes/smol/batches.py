"""Draw training batches on the processor: which drawings stand where, what is asked, what is answered."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from compose import SLOTS
from questions import Asked, Asker, Shown
from things import Picture, Thing
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerFast

TEXT_LIMIT = 26
"""Tokens of one question with its answer; the rare longer ones are cut."""
IGNORED = -100
LAYOUTS = {"single": 0.60, "pair": 0.29, "copies": 0.11}
SINGLE_KINDS = {
    "name": 6, "noun": 4, "category": 5, "colour": 4, "count": 1, "meaning": 8, "yes_no": 2, "caption": 1,
    "country": 5, "capital": 6, "continent": 4, "currency": 4, "language": 3, "subregion": 2, "demonym": 2,
    "landlocked": 1,
}  # fmt: skip
PAIR_KINDS = {
    "name": 10, "noun": 4, "both": 6, "next_to": 5, "side": 2, "colour": 3, "category": 3, "country": 2, "capital": 2,
    "continent": 1, "meaning": 3,
}  # fmt: skip


@dataclass
class Batch:
    """What the device needs for one step.

    A canvas's questions stand one after another in one row of `ids`; `turns` numbers them from 1 (0 is padding), and
    `labels` are -100 outside the answers.
    """

    sprites: Tensor
    places: Tensor
    mirrored: Tensor
    keep_colour: Tensor
    left: Tensor
    right: Tensor
    ids: Tensor
    turns: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on `device`."""
        return Batch(**{field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)})


@dataclass
class Scene:
    """One canvas under construction."""

    sprites: list[int]
    places: list[tuple[float, float, float]]
    mirrored: list[bool]
    left: int
    right: int
    asked: list[Asked]


class Batches(IterableDataset[Batch]):
    """An endless stream of batches; each worker draws its own."""

    def __init__(  # noqa: PLR0913  four things to draw from, three numbers
        self,
        things: Sequence[Thing],
        pictures: Sequence[Picture],
        tokenizer: PreTrainedTokenizerFast,
        asker: Asker,
        *,
        size: int,
        asks: int,
        seed: int,
    ) -> None:
        """Draw `size` canvases a batch with `asks` questions each, from the trained drawings alone."""
        self._things, self._pictures, self._asker = things, pictures, asker
        self._tokenizer, self._size, self._asks, self._seed = tokenizer, size, asks, seed
        drawings: dict[int, list[int]] = {}
        for number, picture in enumerate(pictures):
            if picture.style in things[picture.thing].trained:
                drawings.setdefault(picture.thing, []).append(number)
        self._drawings = drawings
        self._numbers = list(drawings)
        self._weights = [math.sqrt(len(drawings[number])) for number in self._numbers]

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches for ever."""
        worker = get_worker_info()
        rng = random.Random(self._seed * 1000 + (worker.id if worker else 0))  # noqa: S311
        while True:
            yield self._batch(rng)

    def _batch(self, rng: random.Random) -> Batch:
        makers = {"single": self._single, "pair": self._pair, "copies": self._copies}
        layouts = rng.choices(list(LAYOUTS), list(LAYOUTS.values()), k=self._size)
        scenes = [makers[layout](rng) for layout in layouts]
        ids, turns, labels = self._encode([scene.asked for scene in scenes])
        colour = [any(asked.kind in {"colour", "caption"} for asked in scene.asked) for scene in scenes]
        return Batch(
            sprites=torch.tensor([scene.sprites + [-1] * (SLOTS - len(scene.sprites)) for scene in scenes]),
            places=torch.tensor([scene.places + [(0.0, 0.0, 1.0)] * (SLOTS - len(scene.places)) for scene in scenes]),
            mirrored=torch.tensor([scene.mirrored + [False] * (SLOTS - len(scene.mirrored)) for scene in scenes]),
            keep_colour=torch.tensor(colour),
            left=torch.tensor([scene.left for scene in scenes]),
            right=torch.tensor([scene.right for scene in scenes]),
            ids=ids,
            turns=turns,
            labels=labels,
        )

    def _draw(self, rng: random.Random) -> tuple[int, Shown, bool]:
        number = rng.choices(self._numbers, self._weights)[0]
        drawing = rng.choice(self._drawings[number])
        thing = self._things[number]
        mirrored = thing.may_be_mirrored and rng.random() < 0.5
        return drawing, Shown(thing, self._pictures[drawing].colour), mirrored

    def _single(self, rng: random.Random) -> Scene:
        drawing, shown, mirrored = self._draw(rng)
        asked = [self._asker.name(shown, rng)]
        while len(asked) < self._asks:
            kind = rng.choices(list(SINGLE_KINDS), list(SINGLE_KINDS.values()))[0]
            more = self._asker.single(shown, kind, rng)
            asked += [more] if more else []
        place = (rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12), rng.uniform(0.6, 1.12))
        return Scene([drawing], [place], [mirrored], shown.thing.number, shown.thing.number, asked)

    def _pair(self, rng: random.Random) -> Scene:
        first, left, mirror_left = self._draw(rng)
        second, right, mirror_right = self._draw(rng)
        if rng.random() < 0.4:
            # of one kind, so that "which animal is on the left" is a question
            for _ in range(30):
                if right.thing.category == left.thing.category:
                    break
                second, right, mirror_right = self._draw(rng)
        asked: list[Asked] = []
        while len(asked) < self._asks:
            kind = rng.choices(list(PAIR_KINDS), list(PAIR_KINDS.values()))[0]
            more = self._asker.pair(left, right, kind, rng)
            asked += [more] if more else []
        places = [
            (side * rng.uniform(0.42, 0.56), rng.uniform(-0.25, 0.25), rng.uniform(0.36, 0.54)) for side in (-1, 1)
        ]
        mirrored = [mirror_left, mirror_right]
        return Scene([first, second], places, mirrored, left.thing.number, right.thing.number, asked)

    def _copies(self, rng: random.Random) -> Scene:
        drawing, shown, mirrored = self._draw(rng)
        while not shown.thing.may_be_counted:
            drawing, shown, mirrored = self._draw(rng)
        number = rng.randint(1, SLOTS)
        asked = [self._asker.count(shown, number, rng)]
        while len(asked) < self._asks:
            more = self._asker.single(shown, rng.choice(("name", "category", "colour")), rng)
            asked += [more] if more else []
        label = shown.thing.number
        return Scene([drawing] * number, spread(number, rng), [mirrored] * number, label, label, asked)

    def _encode(self, asked: Sequence[Sequence[Asked]]) -> tuple[Tensor, Tensor, Tensor]:
        core = self._tokenizer.backend_tokenizer
        texts = [f"{item.question} {item.answer}\n" for row in asked for item in row]
        coded = iter(core.encode_batch(texts, add_special_tokens=False))
        rows: list[list[tuple[int, int, int]]] = []
        for row in asked:
            cells: list[tuple[int, int, int]] = []
            for turn, item in enumerate(row, start=1):
                code = next(coded)
                starts = [start for start, _ in code.offsets]
                kept = list(zip(code.ids, starts, strict=True))[:TEXT_LIMIT]
                cells += [(token, turn, token if start >= len(item.question) else IGNORED) for token, start in kept]
            rows.append(cells)
        longest = max(map(len, rows))
        padded = torch.tensor([cells + [(0, 0, IGNORED)] * (longest - len(cells)) for cells in rows])
        ids, turns, labels = padded.unbind(dim=2)
        return ids.contiguous(), turns.contiguous(), labels.contiguous()


def spread(number: int, rng: random.Random) -> list[tuple[float, float, float]]:
    """Return places for `number` copies that do not hide each other: in a row, a column or a square."""
    if number == 1:
        return [(rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), rng.uniform(0.4, 0.7))]
    pattern = rng.choice(("row", "column", "square"))
    if pattern == "square" or (number == 4 and rng.random() < 0.5):
        cells = [(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)]
        if number == 3 and rng.random() < 0.5:
            cells = [(0.0, -0.5), (-0.5, 0.5), (0.5, 0.5)]
        chosen, size = rng.sample(cells, number), 0.44
    else:
        line = [2 * (place + 0.5) / number - 1 for place in range(number)]
        chosen = [(at, 0.0) if pattern == "row" else (0.0, at) for at in line]
        size = min(0.92 / number, 0.45)
    half = size * rng.uniform(0.8, 1.05)
    return [(x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.05, 0.05), half) for x, y in chosen]

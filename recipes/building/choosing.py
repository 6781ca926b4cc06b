"""Choose drawings of each thing: by different artists, and none that `mmke build collect` takes for another."""

import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from mmke.build.collect.prints import Known, prints_of

MINI = Path(__file__).parents[1] / "mini"
sys.path.append(str(MINI))

import drawing  # noqa: E402
from catalogue import LAST_CHOICE, Catalogue, Drawing, Thing  # noqa: E402


@dataclass
class Chooser:
    """Chooses drawings for one kind, and remembers what was chosen.

    Attributes:
        shipped: pictures that come with mmke already, by their drawing; they are preferred.
        own: where drawings are written that do not come with mmke yet.
        distance: bits in which the perceptual hashes of near-duplicates differ at most.
        missing: things that got fewer drawings than were wanted, with the number.
    """

    catalogue: Catalogue
    build: Path
    shipped: Mapping[Drawing, Path]
    own: Path
    distance: int
    used: dict[Drawing, Path] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    _known: Known = field(init=False)

    def __post_init__(self) -> None:
        """Begin without pictures to compare with."""
        self._known = Known(self.distance)

    def choose(self, name: str, wanted: int, *, without: Collection[str] = ()) -> list[Drawing]:
        """Return drawings of a thing, each by another artist; fewer than `wanted` where there are no more.

        Args:
            name: of the thing in the catalogue.
            wanted: how many.
            without: styles in which the thing is drawn as something else.
        """
        chosen: list[Drawing] = []
        for candidate in self._candidates(self.catalogue.thing(name)):
            if len(chosen) == wanted:
                break
            if candidate.style in without:
                continue
            families = {self.catalogue.family(each.style) for each in chosen}
            if self.catalogue.family(candidate.style) not in families and self._take(candidate):
                chosen.append(candidate)
        if len(chosen) < wanted:
            self.missing[name] = len(chosen)
        return chosen

    def _candidates(self, thing: Thing) -> Iterator[Drawing]:
        """Yield every drawing: shipped ones first, those of last choice last, else by sha256."""
        styles = [*thing.trained, *([thing.held_out] if thing.held_out else [])]
        found = [Drawing(thing.key, style) for style in styles]

        def order(each: Drawing) -> tuple[bool, bool, bytes]:
            digest = hashlib.sha256(f"{each.key} building {each.style}".encode()).digest()
            return each not in self.shipped, each.style in LAST_CHOICE, digest

        yield from sorted(found, key=order)

    def _take(self, candidate: Drawing) -> bool:
        path = self.shipped.get(candidate)
        if path is None:
            path = self.own / f"{candidate.key}.{candidate.style}.png"
            if not path.exists():
                drawing.save(drawing.alone(candidate.path(self.build)), path)
        with Image.open(path) as picture:
            prints = prints_of(picture.convert("RGB"))
        if self._known.twin(prints) is not None:
            return False
        self._known.add(path.name, prints)
        self.used[candidate] = path
        return True


def shipped_pictures(folder: Path, manifest: Mapping[str, list[dict[str, str]]]) -> dict[Drawing, Path]:
    """Return the drawings that the benchmark `mini` shows by themselves."""
    alone = {path: parts[0] for path, parts in manifest.items() if len(parts) == 1}
    return {Drawing(part["thing"], part["style"]): folder / path for path, part in sorted(alone.items(), reverse=True)}

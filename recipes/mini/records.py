"""Turn the written text and the chosen drawings into records of the published file format."""

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalogue import Catalogue, Drawing, Thing

KNOWLEDGE = {"entity": "entity_level", "visual": "visual_knowledge", "user": "user_specific"}
SPLITS = ("train", "eval")
Pair = tuple[Drawing, ...]


@dataclass(frozen=True)
class Texts:
    """Everything that was written by hand, from `text/*.toml`."""

    written: Mapping[tuple[str, str], Mapping[str, Any]]
    prompts: Mapping[str, Sequence[Sequence[str]]]
    facts: Mapping[str, Sequence[Sequence[str]]]
    unrelated: Mapping[str, Any]


def read_texts(folder: Path) -> Texts:
    """Read the tables."""

    def table(name: str) -> dict[str, Any]:
        return tomllib.loads((folder / f"{name}.toml").read_text())

    written = {(kind, split): table(f"{kind}_{split}") for kind in KNOWLEDGE for split in SPLITS}
    return Texts(written, table("prompts"), table("facts"), table("unrelated"))


@dataclass
class Deal:
    """Hands out, in order, the first item that fits; each is handed out once before any is again."""

    items: Sequence[Any]

    def __post_init__(self) -> None:
        """Start with everything unused."""
        self._waiting = list(self.items)

    def next(self, fits: Any) -> Any:
        """Return the first waiting item that fits, refilling where none does."""
        for _ in range(2):
            found = next((item for item in self._waiting if fits(item)), None)
            if found is not None:
                self._waiting.remove(found)
                return found
            self._waiting += self.items
        raise SystemExit("a list of unrelated facts or pictures is too short")


class Writer:
    """Writes the records of one kind and split, and notes which pictures they need."""

    def __init__(self, catalogue: Catalogue, texts: Texts, *, kind: str, split: str) -> None:
        """Deal facts and pictures anew for each kind and split, each kind from another start."""
        self.catalogue, self.texts, self.kind, self.split = catalogue, texts, kind, split
        self.pictures: dict[str, Pair] = {}
        start = 40 * list(KNOWLEDGE).index(kind)
        facts, names = texts.facts[split], texts.unrelated[split]
        self._facts = Deal([*facts[start:], *facts[:start]])
        self._unrelated = Deal([catalogue.thing(name) for name in [*names[start // 2 :], *names[: start // 2]]])
        self._prompts = {name: itertools.cycle(pairs) for name, pairs in texts.prompts.items()}
        self._questions = {group: itertools.cycle(asked) for group, asked in texts.unrelated["questions"].items()}

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records in the order in which they were written."""
        for name, entry in self.texts.written[self.kind, self.split].items():
            yield self._record(self.catalogue.thing(name), entry)

    def _record(self, thing: Thing, entry: Mapping[str, Any]) -> dict[str, Any]:
        unfit = entry.get("not_by", ())
        shown = self.catalogue.trained(thing, role="edit", without=unfit)
        other = self.catalogue.other(thing, shown, without=unfit)
        src, rephrase = next(self._prompts[entry["class"] if entry["class"] in self._prompts else self.kind])
        record = {"knowledge_type": KNOWLEDGE[self.kind], "type_self": entry["class"]}
        record |= {"src": src, "pred": entry["pred"], "alt": entry["alt"], "rephrase": rephrase}
        record |= {"image": self._picture(shown), "image_rephrase": self._picture(other)}
        record |= self._questions_of(entry)
        if self.kind != "entity":
            record["one_hop_img"] = self._side_by_side(shown, entry)
        record |= self._unrelated_fields(thing, entry)
        question, answer = entry["port"]
        port = {"port_type": "1-hop", "Q&A": {"Question": question, "Answer": answer}}
        return record | {"port_new": [port], "tags": self._tags(thing, entry, shown, other)}

    def _questions_of(self, entry: Mapping[str, Any]) -> dict[str, str]:
        if self.kind == "visual":
            fields = {"image_rephrase_question": entry["rephrase_question"]}
            for prefix in ("rel", "m_rel"):
                fields[prefix], fields[f"{prefix}_ans"] = entry[prefix]
            return fields
        fields = {}
        for prefix in ("rel", "m_rel"):
            for n, (question, answer) in enumerate(entry[prefix], start=1):
                fields |= {f"{prefix}_{n}": question, f"{prefix}_ans_{n}": answer}
        return fields

    def _unrelated_fields(self, thing: Thing, entry: Mapping[str, Any]) -> dict[str, str]:
        about = f"{entry['alt']} {entry['pred']} {thing.name}".lower()
        loc, answer = self._facts.next(lambda fact: not _shares_a_name(fact, about))
        apart = (thing.subgroup, self.catalogue.thing(entry["beside"]).subgroup if "beside" in entry else "")
        stranger = self._unrelated.next(lambda other: other.subgroup not in apart and other.name not in about)
        picture = self.catalogue.trained(stranger, role="unrelated")
        asked = next(self._questions[stranger.group])
        name = stranger.facts["country"] if stranger.group == "flags" else stranger.name
        fields = {"loc": loc, "loc_ans": answer, "m_loc": self._picture(picture)}
        return fields | {"m_loc_q": asked, "m_loc_a": name}

    def _picture(self, *drawings: Drawing) -> str:
        name = "__".join(f"{drawing.key}.{drawing.style}" for drawing in drawings)
        path = f"{self.kind}/{name}.png"
        self.pictures[path] = drawings
        return path

    def _side_by_side(self, shown: Drawing, entry: Mapping[str, Any]) -> str:
        companion = self.catalogue.trained(self.catalogue.thing(entry["beside"]), role="beside")
        pair = (companion, shown) if entry["side"] == "left" else (shown, companion)
        return self._picture(*pair)

    def _tags(self, thing: Thing, entry: Mapping[str, Any], shown: Drawing, other: Drawing) -> dict[str, str]:
        tags = {"rephrase_style": "held-out" if other.style == thing.held_out else "trained", "subject": thing.name}
        tags |= {"edit_artist": shown.style, "rephrase_artist": other.style}
        return tags | ({"becomes": entry["becomes"]} if "becomes" in entry else {"beside": entry["beside"]})


def _shares_a_name(fact: Sequence[str], about: str) -> bool:
    """Tell whether a fact's answer, or a name in it, occurs in the text of the edit."""
    prompt, answer = fact
    names = [word.strip(",.'\"").lower() for word in prompt.split()[1:] if word[0].isupper()]
    return any(name in about for name in [answer.lower(), *names] if len(name) > 1)

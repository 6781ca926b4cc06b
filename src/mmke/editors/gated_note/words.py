"""What a text says by its words alone: whether it points at a picture, its content words, its names.

In: a text. Out: a truth value, or a set of stems. The lists are English (`words.toml`); a question of another language
has content words, and names where these begin with capitals, but is never found to point at a picture.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files

STEM = 6
"""Letters of a word that are compared, behind its ending."""
ENDINGS = ("ing", "ies", "es", "ed", "s")
SHORTEST = 3
"""Letters that stay when an ending is taken off."""

WORD = re.compile(r"[^\W_]+")
SENTENCE = re.compile(r"(?<=[.!?])\s+")


def points_at_picture(text: str) -> bool:
    """Tell whether a question refers to something that is seen: "this animal", "in the image", "beside the house"."""
    return _pointing().search(text) is not None


def content(text: str) -> frozenset[str]:
    """Return the stems of a text's words without those that nearly every question has."""
    return frozenset(stem(word) for word in WORD.findall(text) if word.lower() not in _common())


def names(text: str) -> frozenset[str]:
    """Return the stems of numbers, and of words with a capital that do not begin a sentence."""
    found = (word for sentence in sentences(text) for word in WORD.findall(sentence)[1:] if word[0].isupper())
    return frozenset(map(stem, found)) | {word for word in WORD.findall(text) if word[0].isdigit()}


def sentences(text: str) -> list[str]:
    """Return the sentences of a text."""
    return [sentence for sentence in SENTENCE.split(text) if sentence]


def stem(word: str) -> str:
    small = word.lower()
    ending = next((each for each in ENDINGS if small.endswith(each) and len(small) - len(each) >= SHORTEST), "")
    return small[: len(small) - len(ending)][:STEM]


@cache
def _common() -> frozenset[str]:
    return frozenset(lists()["common"])


@cache
def _pointing() -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, lists()['pointing']))})\b", re.IGNORECASE)


@cache
def lists() -> dict[str, list[str]]:
    """Return the lists of `words.toml` by name."""
    shipped = files("mmke.editors.gated_note") / "words.toml"
    read: dict[str, list[str]] = tomllib.loads(shipped.read_text(encoding="utf-8"))
    return read

"""Comparing texts: what one says, and whether two are nearly the same. The rules and the writers use the same tests."""

import difflib
import re

_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
ARTICLES = ("a", "an", "the")


def words(text: str) -> list[str]:
    """Return the words of a text in small letters, without punctuation."""
    return [word.casefold() for word in _WORD.findall(text)]


def says(text: str, phrase: str) -> bool:
    """Tell whether the words of a phrase, without an article before them, stand in a text one after the other."""
    wanted, there = words(phrase), words(text)
    if wanted and wanted[0] in ARTICLES:
        wanted = wanted[1:]
    return bool(wanted) and any(there[n : n + len(wanted)] == wanted for n in range(len(there) - len(wanted) + 1))


def alike(one: str, other: str) -> float:
    """Return how much two texts agree, from 0 to 1: the share of their words that stand in the same order in both."""
    return difflib.SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()

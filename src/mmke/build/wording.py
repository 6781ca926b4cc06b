"""Comparing texts: what one says, and whether two are nearly the same. The rules and the writers use the same tests."""

import difflib
import re

_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
# A word that begins with the sound of a vowel: not "unit", "euro", "one", "ewe"; but "hour", "X-ray", "11".
_AN = re.compile(
    r"(?!uni(?!n|m)|us[aeiu]|ut[eio]|eu|ewe|one\b|once\b|ubiq|ufo|uk|ur[aiou]n)[aeiou]"
    r"|hour|honest|honou?r|heir|[fhlmnrsx](?:-|\b)|8|1[18](?:th)?\b",
    re.IGNORECASE,
)
_POSSESSIVE = re.compile(r"['’]s$")
ARTICLES = ("a", "an", "the")


def words(text: str) -> list[str]:
    """Return the words of a text in small letters, without punctuation and the 's of a possessive."""
    return [_POSSESSIVE.sub("", word.casefold()) for word in _WORD.findall(text)]


def plain_words(phrase: str) -> tuple[str, ...]:
    """Return the words of a phrase as `words` does, without an article before them."""
    found = tuple(words(phrase))
    return found[1:] if found and found[0] in ARTICLES else found


def says(text: str, phrase: str) -> bool:
    """Tell whether the words of a phrase, without an article before them, stand in a text one after the other."""
    wanted, there = plain_words(phrase), tuple(words(text))
    return bool(wanted) and any(there[n : n + len(wanted)] == wanted for n in range(len(there) - len(wanted) + 1))


def alike(one: str, other: str) -> float:
    """Return how much two texts agree, from 0 to 1: the share of their words that stand in the same order in both."""
    return difflib.SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()


def with_article(noun: str) -> str:
    """Return a noun after "a" or "an", whichever its sound asks for."""
    return f"{'an' if _AN.match(noun) else 'a'} {noun}"


def capital(text: str) -> str:
    """Return a text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]

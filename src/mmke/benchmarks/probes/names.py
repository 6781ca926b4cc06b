"""The names in a record's texts, by their capital letters: what the record is about.

A *span* is a run of capitalised words with single blanks between them; inside it, not at its ends, small words such as
"of" may stand: "Omar Haddad", "Bank of Scotland". Every shorter run inside a span is a span too. A possessive 's is no
part of it. Languages that write without capital letters have no spans.
"""

import re
from collections.abc import Iterable

from mmke.types import Edit, EditCase

_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+|['’](?!s\b)[^\W_]+)*")
_SMALL = frozenset({"of", "the", "de", "la", "du", "der", "van", "von"})
_LONGEST = 8
"""Words of a span."""
_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bDr\.)(?<!\bSt\.)\s+(?=[\"“(]?[A-Z0-9])"
)


def first_sentence(text: str) -> tuple[str, str]:
    """Return a text's first sentence, and the rest of it."""
    first, *rest = _SENTENCE_END.split(text.strip(), maxsplit=1)
    return first, rest[0] if rest else ""


def recurring_name(sentence: str, questions: Iterable[str]) -> str | None:
    """Return the longest span of a sentence that recurs in a question; None where none does.

    A question's first word is passed over, since it is written with a capital letter whatever it is.
    """
    asked = [plain(question).partition(" ")[2] for question in questions]
    found = [span for span, _ in _spans(sentence) if any(holds(text, span) for text in asked)]
    return max(found, key=len, default=None)


def first_name(sentence: str) -> str | None:
    """Return the first span behind a sentence's first word, as long as it goes; None where there is none."""
    behind = [(start, span) for span, start in _spans(sentence) if start > 0]
    first = min((start for start, _ in behind), default=None)
    return max((span for start, span in behind if start == first), key=len, default=None)


def subject_names(case: EditCase) -> tuple[str, ...]:
    """Return the names of what a record is about: as its new description calls it, and as the old one does.

    The new one: the longest span of the description's first sentence that recurs in one of the record's T-Rel
    questions, else the first span of that sentence. The old one: the first span of the old description.
    """
    edit = picture_edit(case)
    sentence = first_sentence(edit.target)[0]
    questions = [probe.query.text for probe in case.probes if probe.kind.name == "t_rel"]
    new = recurring_name(sentence, questions) or first_name(sentence)
    old = first_name(first_sentence(edit.original or "")[0])
    return tuple(dict.fromkeys(name for name in (new, old) if name is not None))


def picture_edit(case: EditCase) -> Edit:
    """Return a record's first edit that has a picture, else its first edit."""
    return next((edit for edit in case.edits if edit.query.image is not None), case.edits[0])


def plain(text: str) -> str:
    """Return the words of a text with single blanks between them."""
    return " ".join(_WORD.findall(text))


def holds(text: str, name: str) -> bool:
    """Whether the words of a name stand in a row in a text; both as `plain` returns them."""
    return f" {name} " in f" {text} "


def _spans(sentence: str) -> list[tuple[str, int]]:
    """Return the spans of a sentence, each with the number of its first word."""
    words = list(_WORD.finditer(sentence))
    found = []
    for start, word in enumerate(words):
        if not word[0][0].isupper():
            continue
        for end in range(start, min(start + _LONGEST, len(words))):
            if end > start and not _goes_on(sentence, words[end - 1], words[end]):
                break
            if words[end][0] not in _SMALL:
                found.append((" ".join(each[0] for each in words[start : end + 1]), start))
    return found


def _goes_on(sentence: str, last: re.Match[str], word: re.Match[str]) -> bool:
    text = word[0]
    return sentence[last.end() : word.start()] == " " and (text[0].isupper() or text[0].isdigit() or text in _SMALL)

"""Rules about grammar: what a template or a model gets wrong when it joins names and phrases."""

import re
from collections.abc import Iterator

from mmke.build.protocols import Rule, Scope
from mmke.build.record import Record
from mmke.build.rules.judged import Judged
from mmke.build.wording import says, with_article

_A = re.compile(r"\b(an?)\s+[\"'“‘(]?([A-Za-z0-9][\w.-]*)", re.IGNORECASE)
_TWICE = re.compile(r"\b(the|an?|of|in|is|are|and|to|for|with|by|on|at|was|its)\s+\1\b", re.IGNORECASE)
_FAULTS = {
    "a place that was not filled in": re.compile(r"\{\w*\}|\bNone\b|\b(?:null|nan)\b"),
    "a space before punctuation": re.compile(r"\s[,;.!?](?:\s|$)"),
    "two spaces or a line break": re.compile(r"[ \t]{2,}|\n"),
    "a character that nobody sees": re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]"),
    "markup, or a token that models treat in a way of its own": re.compile(r"<[/|!]?\w[^<>]*>|\[/?INST\]"),
    "two articles": re.compile(r"\b(?:the|an?) (?:the|an?)\b", re.IGNORECASE),
    "punctuation twice": re.compile(r"(?<!\.)\.\.(?!\.)|,,|\?\?|[?!]\.|,\."),
}


def make_words() -> Rule:
    """Articles fit the next word, no word stands twice, nothing was left to fill in."""
    return Judged("grammar", "Bad language makes an edit or a question harder than its content is.", _faults)


def make_pointed() -> Rule:
    """Questions about the picture point at it by the noun of its type, in the right number."""
    reason = "The noun says what is meant in the picture, and verbs and pronouns must agree with it."
    return Judged("pointed-noun", reason, _disagrees)


def _faults(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    for name, text in record.texts.items():
        twice = _TWICE.search(text)
        if twice is not None:
            yield name, f"a word stands twice: {twice.group()!r}"
        for what, pattern in _FAULTS.items():
            if pattern.search(text):
                yield name, f"{what}: {text!r}"
        for article, word in _A.findall(text):
            if wrong_article(article, word):
                yield name, f"{article} {word}"
        if name in ("prompt", "rephrase", "target", "original") or name.endswith(".question"):
            yield from _sentence(name, text)


def _sentence(name: str, text: str) -> Iterator[tuple[str, str]]:
    if not text.strip():  # which is another rule's
        return
    if text[:1].islower():
        yield name, f"it begins with a small letter: {text[:20]!r}"
    # An unrelated question in text may be a sentence to complete ("The opposite of hot is").
    if name != "t_loc.question" and text.rstrip("\"'”’)")[-1:] not in (".", "!", "?"):
        yield name, f"it ends without punctuation: {text[-20:]!r}"


def wrong_article(article: str, word: str) -> bool:
    """Tell whether "a" or "an" does not fit the word behind it, judged by how the word is spoken."""
    if article == "A" and not word[:1].islower():
        return False  # a name or grade: "vitamin A Plus"
    if len(word) > 1 and word.isupper():
        return False  # spoken letter by letter or as a word: "an MP", "a NATO country"
    return with_article(word).split()[0] != article.lower()


def _disagrees(record: Record, scope: Scope) -> Iterator[tuple[str, str]]:
    noun = scope.words.type(record.edit.draft.pictured.type).noun
    last = noun.split()[-1]
    is_plural = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    for question in record.asked.questions:
        if question.plan.picture not in ("edit", "rephrase"):
            continue
        place, text = f"{question.plan.key}.question", question.text
        if not any(says(text, form) for form in (noun, last, f"{noun}s", f"{last}s")):
            yield place, f"it does not say what it points at ({noun!r})"
        wrong = _wrong_number(noun, is_plural=is_plural).search(text)
        if wrong is not None:
            yield place, f"{wrong.group()!r} does not agree in number"


def _wrong_number(noun: str, *, is_plural: bool) -> re.Pattern[str]:
    verbs, pointer = ("does|is|was|has", "this|that") if is_plural else ("do|are|were|have", "these|those")
    *before, last = noun.split()
    # A noun of several words can be said in short: "the sign" of a "zodiac sign".
    name = "".join(f"(?:{re.escape(word)} )?" for word in before) + re.escape(last)
    return re.compile(rf"\b(?:{verbs}) (?:the|{pointer}) (?:\w+ )?{name}\b|\b(?:{pointer}) {name}\b", re.IGNORECASE)

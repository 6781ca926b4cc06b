"""What makes two records the same: so that it is noticed when a record is evaluated that was trained on."""

import hashlib
import json
from collections.abc import Iterable, Sequence

from mmke.types import EditCase

LENGTH = 16
"""Hexadecimal digits of a digest: 64 bits, enough to tell millions of records apart."""


def record_digest(case: EditCase) -> str:
    """Return a digest of what a record edits: questions, pictures and new answers, whatever the record's id is.

    White space does not count, since protocols and formats differ in it.
    """
    edited = [
        (_plain(edit.query.text), None if edit.query.image is None else edit.query.image.sha256, _plain(edit.target))
        for edit in case.edits
    ]
    return hashlib.sha256(json.dumps(edited).encode()).hexdigest()[:LENGTH]


def record_digests(cases: Iterable[EditCase]) -> tuple[str, ...]:
    """Return the digests of records, sorted and each once."""
    return tuple(sorted({record_digest(case) for case in cases}))


def among(cases: Iterable[EditCase], digests: Iterable[str]) -> Sequence[str]:
    """Return the ids of the records whose digests are among given ones."""
    known = set(digests)
    return [case.id for case in cases if record_digest(case) in known] if known else []


def _plain(text: str) -> str:
    return " ".join(text.split())

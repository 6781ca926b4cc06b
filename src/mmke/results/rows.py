"""A score as one line of `rows.jsonl`, and back.

Lines of equal scores are equal bytes: keys stand in the order of `ScoreRow`, tags and notes by name,
numbers are rounded to six decimals, and time never enters. NaN is no JSON: a score that is none is null and
says why.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from mmke.types import PROBE_KINDS, Said, ScoreRow

DECIMALS = 6

_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "case_id": (str,),
    "edits_applied": (int,),
    "probe": (int, type(None)),
    "kind": (str,),
    "metric": (str,),
    "value": (int, float, type(None)),
    "floor": (int, float, type(None)),
    "n_scored": (int,),
    "reason": (str, type(None)),
    "tags": (dict,),
    "notes": (dict,),
    "question": (str,),
    "target": (str,),
    "image": (str, type(None)),
    "before": (dict, type(None)),
    "after": (dict, type(None)),
}


def to_line(row: ScoreRow) -> bytes:
    """Return the row as one line of JSON in UTF-8, with its newline."""
    plain = asdict(_writable(row))
    plain["tags"] = dict(sorted(row.tags.items()))
    plain["notes"] = dict(sorted(row.notes.items()))
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate, which a data file may hold, has no UTF-8; its backslash form happens to be JSON's own escape.
    return text.encode("utf-8", errors="backslashreplace") + b"\n"


def from_line(line: bytes) -> ScoreRow:
    """Return the row that a line holds.

    Raises:
        ValueError: not JSON, or not a row.
        TypeError: a field of another type.
    """
    plain = json_object(line)
    check_keys(plain, tuple(field.name for field in fields(ScoreRow)))
    for name, allowed in _JSON_TYPES.items():
        if not isinstance(plain[name], allowed):
            raise TypeError(f"{name} is {plain[name]!r}, not {' or '.join(kind.__name__ for kind in allowed)}")
    if plain["kind"] not in PROBE_KINDS:
        raise ValueError(f"kind is {plain['kind']!r}, not one of {', '.join(PROBE_KINDS)}")
    for name in ("value", "floor"):
        plain[name] = None if plain[name] is None else float(plain[name])
    return ScoreRow(**plain | {name: _said(plain[name]) for name in ("before", "after")})


def json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        ValueError: the line is not UTF-8 or not JSON.
        TypeError: it holds something else than an object.
    """
    try:
        plain = json.loads(line.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(plain, dict):
        raise TypeError(f"a JSON object was expected, not {type(plain).__name__}")
    return plain


def check_keys(plain: Mapping[str, Any], expected: tuple[str, ...]) -> None:
    """Refuse an object with other keys than the expected ones.

    Raises:
        ValueError: a key is missing or unknown.
    """
    missing = [key for key in expected if key not in plain]
    unknown = [key for key in plain if key not in expected]
    if missing or unknown:
        raise ValueError(f"missing keys: {missing}, unknown keys: {unknown}")


def _writable(row: ScoreRow) -> ScoreRow:
    value = _rounded(row.value)
    reason = row.reason
    if value is None and reason is None:
        reason = "no score" if row.value is None else f"the score is {row.value}"
    return replace(
        row,
        value=value,
        floor=_rounded(row.floor),
        reason=reason,
        before=_rounded_said(row.before),
        after=_rounded_said(row.after),
    )


def _rounded(number: float | None) -> float | None:
    if number is None or not math.isfinite(number):
        return None
    return round(float(number), DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0


def _rounded_said(said: Said | None) -> Said | None:
    return None if said is None else replace(said, target_logprob=_rounded(said.target_logprob))


def _said(plain: dict[str, Any] | None) -> Said | None:
    if plain is None:
        return None
    check_keys(plain, tuple(field.name for field in fields(Said)))
    return Said(text=plain["text"], ids=tuple(plain["ids"]), target_logprob=plain["target_logprob"])


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond every number")
    return number


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")

"""Statements of Wikidata as facts with short values.

The shapes are those of `wbgetentities` (doc.wikimedia.org/Wikibase, "Wikibase JSON format"). Of a property's statements
those of the best rank count, without deprecated ones and those that have ended (qualifier P582). Where several values
are left, a question about the property would have several answers, so that it is no fact.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LANGUAGES = ("en", "mul")
"""English, and Wikidata's "all languages", in which names of persons and places are often stated alone."""
YEAR = 9
"""Wikidata's number for a date that is known to the year; finer ones are larger."""
_END = "P582"
_SYMBOL = "P5061"
"""The symbol of a unit, such as "kg"."""

Entity = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """What a statement says: a text, and the ids of the entities that it names (of the unit, for a quantity)."""

    text: str
    entity: str | None = None
    unit: str | None = None


def values(entity: Entity, property_: str) -> list[Value]:
    """Return the different values of a property that count, the text of an entity still being its id."""
    statements = [each for each in (entity.get("claims") or {}).get(property_, []) if _counts(each)]
    best = "preferred" if any(each.get("rank") == "preferred" for each in statements) else "normal"
    found = (_value(each["mainsnak"]) for each in statements if each.get("rank", "normal") == best)
    return list(dict.fromkeys(value for value in found if value is not None))


def files(entity: Entity, property_: str) -> list[str]:
    """Return the names of the files that a property of media names, preferred ones first."""
    statements = [each for each in (entity.get("claims") or {}).get(property_, []) if _counts(each)]
    statements.sort(key=lambda each: each.get("rank") != "preferred")
    names = [_datavalue(each["mainsnak"]) for each in statements]
    return [name for name in names if isinstance(name, str)]


def label(entity: Entity | None) -> str | None:
    """Return the English name of an entity, or the one that it has in all languages; None where it has neither."""
    found = {} if entity is None else entity.get("labels") or {}
    return next((found[language]["value"] for language in LANGUAGES if language in found), None)


def aliases(entity: Entity) -> list[str]:
    """Return the other names of an entity, in English and in all languages."""
    found = entity.get("aliases") or {}
    return list(dict.fromkeys(each["value"] for language in LANGUAGES for each in found.get(language, [])))


def in_words(value: Value, entities: Mapping[str, Entity]) -> str | None:
    """Return a value as it stands in a sentence; None where an entity that it names has no English name."""
    if value.entity is not None:
        return label(entities.get(value.entity))
    if value.unit is None:
        return value.text
    unit = entities.get(value.unit)
    symbols = [] if unit is None else values(unit, _SYMBOL)
    name = symbols[0].text if symbols else label(unit)
    return None if name is None else f"{value.text} {name}"


def named(entity: Entity, properties: Mapping[str, str]) -> Iterator[str]:
    """Yield the ids of the entities that an entity's facts name."""
    for property_ in properties.values():
        found = values(entity, property_)
        if len(found) == 1:
            yield from (id_ for id_ in (found[0].entity, found[0].unit) if id_ is not None)


def _counts(statement: Mapping[str, Any]) -> bool:
    ended = _END in statement.get("qualifiers", {})
    return statement.get("rank") != "deprecated" and not ended and statement["mainsnak"].get("snaktype") == "value"


def _datavalue(snak: Mapping[str, Any]) -> Any:
    return snak.get("datavalue", {}).get("value")


def _value(snak: Mapping[str, Any]) -> Value | None:
    """Return what a snak says; None for kinds that are no answer to a question, such as coordinates or links."""
    found, kind = _datavalue(snak), snak.get("datatype")
    match kind:
        case "wikibase-item":
            return Value(found["id"], entity=found["id"])
        case "time":
            return _year(found)
        case "quantity":
            unit = re.search(r"Q\d+$", found.get("unit", ""))
            return Value(found["amount"].lstrip("+"), unit=unit[0] if unit else None)
        case "monolingualtext":
            return Value(found["text"]) if found["language"] in LANGUAGES else None
        case "string":
            return Value(found)
        case _:
            return None


def _year(found: Mapping[str, Any]) -> Value | None:
    """Return a date as its year, which is short, and what years of birth and foundation are compared by."""
    match = re.match(r"([+-])0*(\d+)-", found["time"])
    if match is None or found["precision"] < YEAR:
        return None
    return Value(match[2] + (" BC" if match[1] == "-" else ""))

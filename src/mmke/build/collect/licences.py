"""Licences of pictures: short names for the many spellings, and which of them a project takes."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_CREATIVE_COMMONS = re.compile(r"cc-by((?:-nc|-sa|-nd)*)(?:-(\d(?:\.\d)?))?((?:-\d\.\d)*)(?:-([a-z]{2,3}))?")
_WORDS = (
    ("creative-commons", "cc"),
    ("attribution", "by"),
    ("share-alike", "sa"),
    ("sharealike", "sa"),
    ("non-commercial", "nc"),
    ("noncommercial", "nc"),
    ("no-derivatives", "nd"),
    ("noderivatives", "nd"),
    ("noderivs", "nd"),
)
_IDLE = re.compile(r"-(?:unported|international|generic|licen[cs]e|public|version)(?=-|$)")


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence by its short name; `name` is empty where none is stated, and as stated where it is unknown."""

    name: str
    url: str
    known: bool

    @property
    def family(self) -> str:
        """Return the name without version and country: "CC-BY-SA" for "CC-BY-SA-3.0-DE"."""
        return re.sub(r"-\d.*$", "", self.name) if self.name.startswith("CC-BY") else self.name


def licence(stated: str) -> Licence:
    """Return a licence by its short name, whatever its spelling: "CC BY-SA 4.0" is "CC-BY-SA-4.0"."""
    plain = _plain(stated)
    if not plain:
        return Licence("", "", known=False)
    for name, entry in _table().items():
        spellings = {_plain(each) for each in (name, *entry["names"])}
        if plain in spellings or ("prefix" in entry and plain.startswith(entry["prefix"])):
            return Licence(name, entry["url"], known=True)
    return _creative_commons(plain) or Licence(" ".join(stated.split()), "", known=False)


def why_refused(found: Licence, allowed: Sequence[str]) -> str | None:
    """Return why pictures under a licence are not taken; None where they are.

    Args:
        found: the picture's licence.
        allowed: names, in any spelling; one without a version, such as "CC-BY", allows every version of that licence.
    """
    if not found.name:
        return "no licence is stated"
    names = {licence(each).name for each in allowed}
    if found.name in names or found.family in names:
        return None
    forbidden = [what for part, what in (("-NC", "sale"), ("-ND", "changes")) if part in found.family]
    if found.known and forbidden:
        return f"its licence {found.name} forbids {' and '.join(forbidden)}"
    unknown = "" if found.known else ", which is not known here"
    return f"its licence is {found.name!r}{unknown}; [collect].licences does not allow it"


@cache
def _plain(stated: str) -> str:
    plain = re.sub(r"[\s_,;:()/–-]+", "-", stated.casefold()).strip("-.")
    for long, short in _WORDS:
        plain = plain.replace(long, short)
    return _IDLE.sub("", plain)


def _creative_commons(plain: str) -> Licence | None:
    # "CC BY-SA 4.0-3.0-2.5" leaves the choice; the first is the newest.
    match = _CREATIVE_COMMONS.fullmatch(plain)
    if match is None:
        return None
    conditions, version, _, country = match.groups()
    kind = f"by{conditions}"
    name = "-".join(["CC", kind.upper(), *([version] if version else []), *([country.upper()] if country else [])])
    place = f"{kind}/{version}/" + (f"{country}/" if country else "") if version else ""
    return Licence(name, f"https://creativecommons.org/licenses/{place}", known=True)


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads((files("mmke.build.collect") / "licences.toml").read_text(encoding="utf-8"))

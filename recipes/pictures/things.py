"""List the things: emoji with their CLDR names, flags with facts, road signs and semaphore letters."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

# Flags that are another country's flag unchanged, or are drawn differently by every artist: no name can be right.
SAME_FLAG = {"ac", "bl", "bq", "bv", "cp", "cq", "dg", "ea", "gf", "gp", "hm", "ic", "io", "mf", "mq", "pm", "re", "sj"}
SAME_FLAG |= {"ta", "tf", "um", "wf", "yt", "nc", "sh"}
NATIONS = {"gbeng": "gb-eng", "gbsct": "gb-sct", "gbwls": "gb-wls"}
# Lone artists' extras of OpenMoji that show plain things (brands, user interfaces and half-symbols left out)
EXTRAS = {"animals-nature", "food-drink", "objects", "travel-places", "emergency", "healthcare", "technology"}
EXTRAS |= {"climate-environment", "gardening", "people"}
PLAIN = {"’": "'", "“": "", "”": "", "&": "and", "ñ": "n", "é": "e", "ã": "a", "í": "i", "ç": "c", "ô": "o", "Å": "A"}


@dataclass(frozen=True)
class Thing:
    """One thing that is drawn: what it is called, where it belongs and what is known about it."""

    key: str
    name: str
    group: str
    subgroup: str
    hexcode: str = ""
    label: str = ""
    code: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def plain(text: str) -> str:
    """Return `text` with typographic quotes and accents replaced by plain letters."""
    for fancy, simple in PLAIN.items():
        text = text.replace(fancy, simple)
    return text


def spoken(label: str) -> str:
    """Return a CLDR label as one would say it: 'flag: Kenya' -> 'flag of Kenya'."""
    text = plain(label)
    if text.startswith("flag: "):
        return "flag of " + text.removeprefix("flag: ")
    if text.startswith("keycap: "):
        return "keycap " + text.removeprefix("keycap: ")
    head, found, rest = text.partition(": ")
    if not found:
        return text
    return f"{head} of {rest}" if head in {"family", "kiss", "couple with heart"} else f"{head} with {rest}"


def emoji(names: Path) -> Iterator[Thing]:
    """Yield every emoji of the recommended set that is not a skin tone, a component or a mirrored copy."""
    groups = json.loads((names / "meta/groups.json").read_text())
    for entry in json.loads((names / "en/data.json").read_text()):
        if "group" not in entry or entry["group"] == 2 or "facing right" in entry["label"]:
            continue
        code = _country_code(entry["hexcode"])
        if code in SAME_FLAG:
            continue
        yield Thing(
            key=f"flag-{code}" if code else entry["hexcode"].lower(),
            name=spoken(entry["label"]),
            group=groups["groups"][str(entry["group"])].replace("-", " & "),
            subgroup=groups["subgroups"][str(entry["subgroup"])],
            hexcode=entry["hexcode"],
            label=entry["label"],
            code=code,
            facts={"keywords": entry.get("tags", [])},
        )


def _country_code(hexcode: str) -> str:
    parts = [int(part, 16) for part in hexcode.split("-")]
    if len(parts) == 2 and all(0x1F1E6 <= part <= 0x1F1FF for part in parts):
        return "".join(chr(part - 0x1F1E6 + ord("a")) for part in parts)
    if parts[0] == 0x1F3F4 and parts[-1] == 0xE007F:
        return NATIONS["".join(chr(part - 0xE0000) for part in parts[1:-1])]
    return ""


def extras(openmoji: Path) -> Iterator[Thing]:
    """Yield OpenMoji's own additions; only that one artist group drew them."""
    for entry in json.loads((openmoji / "data/openmoji.json").read_text()):
        if entry["group"] == "extras-openmoji" and entry["subgroups"] in EXTRAS:
            keywords = [word.strip() for word in entry["openmoji_tags"].split(",") if word.strip()]
            yield Thing(
                key=entry["hexcode"].lower(),
                name=plain(entry["annotation"]),
                group="extras",
                subgroup=entry["subgroups"],
                hexcode=entry["hexcode"],
                label=entry["annotation"],
                facts={"keywords": keywords},
            )


def signs(table: Mapping[str, Any]) -> Iterator[Thing]:
    """Yield the road signs and the letters of flag semaphore."""
    for key, sign in table["signs"].items():
        files = {"openclipart": f"transportation/roadsigns/{sign['file']}.svg"}
        if "file2" in sign:
            files["openclipart-2"] = f"transportation/roadsigns/{sign['file2']}.svg"
        facts = {"meaning": sign["meaning"]}
        yield Thing(key, sign["name"], "signs", "road-sign", files=files, facts=facts)
    words = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec"
    words += " romeo sierra tango uniform victor whiskey xray yankee zulu"
    for word, (letter, arms) in zip(words.split(), table["semaphore"].items(), strict=True):
        path = f"signs_and_symbols/flags/semaphore/semaphore_{word}.svg"
        # openclipart's drawing of I shows the arms of another letter
        files = {"drawn": ",".join(map(str, arms))} | ({} if letter == "i" else {"openclipart": path})
        name = f"semaphore signal for {letter.upper()}"
        yield Thing(f"semaphore-{letter}", name, "signs", "semaphore", files=files, facts={"meaning": letter.upper()})


@cache
def _countries(path: Path) -> dict[str, Any]:
    return {entry["cca2"].lower(): entry for entry in json.loads(path.read_text())}


def country_facts(code: str, *, countries: Path, continents: Path) -> dict[str, Any]:
    """Return what is known about the country of ISO code `code`; empty for other flags."""
    known = _countries(countries / "dist/countries.json")
    if code not in known:
        return {}
    entry = known[code]
    names = {other["cca3"]: plain(other["name"]["common"]) for other in known.values()}
    continent = {item["code"]: item.get("continent") for item in json.loads((continents / "country.json").read_text())}
    currencies = [money["name"] for money in entry["currencies"].values()] if entry["currencies"] else []
    return {
        "country": plain(entry["name"]["common"]),
        "capital": plain(entry["capital"][0]) if entry["capital"] and entry["capital"][0] else None,
        "continent": continent.get(code),
        "region": entry["region"],
        "subregion": entry["subregion"],
        "currency": plain(currencies[0]) if currencies else None,
        "languages": [plain(name) for name in entry["languages"].values()],
        "neighbours": [names[border] for border in entry["borders"]],
        "demonym": plain(entry["demonyms"]["eng"]["m"]) if entry.get("demonyms") else None,
        "landlocked": entry["landlocked"],
        "area_km2": entry["area"],
        "un_member": entry["unMember"],
        "calling_code": entry["callingCodes"][0] if entry.get("callingCodes") else None,
    }

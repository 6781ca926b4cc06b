"""`CITATION.cff`: how to cite an export, in the Citation File Format 1.2.0."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_SPDX = re.compile(r"CC0-1\.0|CC-BY(-NC)?(-ND|-SA)?-(1\.0|2\.0|2\.5|3\.0|4\.0)|MIT|Apache-2\.0|ODbL-1\.0|PDDL-1\.0")
"""Licences by the names that the format takes."""


def citation(title: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the file's text.

    An author that is written "Family, Given" is cited as a person, any other by the whole name.
    """
    from huggingface_hub import CardData

    authors = list(dict.fromkeys(name for part in parts for name in part["authors"])) or [f"The makers of {title}"]
    licences = list(dict.fromkeys(part["licence"] for part in parts))
    records = sum(sum(part["records"].values()) for part in parts)
    plain: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this benchmark, please cite it as below.",
        "type": "dataset",
        "title": title,
        "authors": [_author(name) for name in authors],
        "abstract": f"{records} records of multimodal knowledge editing in the format of MMKE-Bench.",
        "keywords": ["multimodal knowledge editing", "benchmark"],
    }
    # Several would mean that one may choose between them, while each is of some of the records.
    if len(licences) == 1 and _SPDX.fullmatch(licences[0]):
        plain["license"] = licences[0]
    return str(CardData(**plain).to_yaml()) + "\n"


def _author(name: str) -> dict[str, str]:
    family, comma, given = (each.strip() for each in name.partition(","))
    return {"family-names": family, "given-names": given} if comma and given else {"name": name}

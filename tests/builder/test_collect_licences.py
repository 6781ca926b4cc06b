"""Licences by their many spellings, and which are taken."""

import tomllib
from importlib.resources import files

import pytest

from mmke.build.collect.licences import licence, why_refused

DEFAULT = tuple(
    tomllib.loads((files("mmke.build") / "build.template.toml").read_text().replace("@KIND@", "entity"))["collect"][
        "licences"
    ]
)


@pytest.mark.parametrize(
    ("stated", "name", "url"),
    [
        ("CC BY-SA 4.0", "CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        ("CC_BY_2.5", "CC-BY-2.5", "https://creativecommons.org/licenses/by/2.5/"),
        ("CC BY-SA 3.0 de", "CC-BY-SA-3.0-DE", "https://creativecommons.org/licenses/by-sa/3.0/de/"),
        ("CC BY-SA 4.0-3.0-2.5-2.0-1.0", "CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        (
            "Creative Commons Attribution-ShareAlike 3.0 Unported",
            "CC-BY-SA-3.0",
            "https://creativecommons.org/licenses/by-sa/3.0/",
        ),
        (
            "Creative Commons Attribution 4.0 International License",
            "CC-BY-4.0",
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        ("CC BY-NC-ND 4.0", "CC-BY-NC-ND-4.0", "https://creativecommons.org/licenses/by-nc-nd/4.0/"),
        ("Attribution-NonCommercial 4.0", "Attribution-NonCommercial 4.0", ""),
        ("CC BY", "CC-BY", "https://creativecommons.org/licenses/"),
        ("CC0", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("CC0 1.0 Universal", "CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("Public domain", "public domain", "https://creativecommons.org/publicdomain/mark/1.0/"),
        ("PD-old-70", "public domain", "https://creativecommons.org/publicdomain/mark/1.0/"),
        ("Public Domain Mark 1.0", "public domain", "https://creativecommons.org/publicdomain/mark/1.0/"),
        ("MIT License", "MIT", "https://opensource.org/license/mit"),
        ("Apache License, Version 2.0", "Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
        ("Own work", "own work", ""),
        ("  Some other\nlicence ", "Some other licence", ""),
        ("", "", ""),
    ],
)
def test_spellings_become_short_names(stated: str, name: str, url: str) -> None:
    found = licence(stated)
    assert (found.name, found.url) == (name, url)
    assert licence(found.name).name == name  # a short name is its own


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ("CC BY 4.0", None),
        ("CC BY-SA 3.0 at", None),
        ("CC0", None),
        ("PD-US", None),
        ("Apache 2.0", None),
        ("own work", None),
        ("CC BY-NC 4.0", "its licence CC-BY-NC-4.0 forbids sale"),
        ("CC BY-ND 4.0", "its licence CC-BY-ND-4.0 forbids changes"),
        ("CC BY-NC-ND 2.0", "its licence CC-BY-NC-ND-2.0 forbids sale and changes"),
        ("GFDL 1.2", "its licence is 'GFDL'; [collect].licences does not allow it"),
        (
            "All rights reserved",
            "its licence is 'All rights reserved', which is not known here; [collect].licences does not allow it",
        ),
        ("", "no licence is stated"),
        (" - ", "no licence is stated"),
    ],
)
def test_what_the_default_settings_take(stated: str, why: str | None) -> None:
    assert why_refused(licence(stated), DEFAULT) == why


def test_an_allowed_name_means_its_versions_and_no_other_licence() -> None:
    assert why_refused(licence("CC BY 3.0"), ["CC-BY"]) is None
    assert why_refused(licence("CC BY-SA 3.0"), ["CC-BY"]) is not None
    assert why_refused(licence("CC BY 3.0"), ["CC BY 4.0"]) is not None
    assert why_refused(licence("CC BY-NC 3.0"), ["cc-by-nc"]) is None
    assert why_refused(licence("hospital use"), ["Hospital use"]) is not None
    assert why_refused(licence("Hospital use"), ["Hospital use"]) is None

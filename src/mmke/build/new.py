"""`mmke build new`: the settings of a new project, every key explained."""

import re
from importlib.resources import files
from pathlib import Path

from mmke import registry
from mmke.build.content import Kind
from mmke.build.settings import BUILD, NAME
from mmke.errors import UserError
from mmke.lines import write_at_once


def new(folder: Path, *, kind: Kind, source: str = "mini", name: str | None = None) -> Path:
    """Write a project's `build.toml` and return its path.

    Args:
        folder: made where it is not there.
        kind: of knowledge.
        source: name of the source (`mmke ls sources`).
        name: of the benchmark; None: the folder's, without what no benchmark's name can hold.

    Raises:
        UserError: an unknown source, a name that no file can have, or a project that is there already.
    """
    registry.import_string("sources", source)
    file = folder / BUILD
    if file.exists():
        raise UserError(f"{file} is there already; edit it, or choose another folder")
    text = (files("mmke.build") / "build.template.toml").read_text(encoding="utf-8")
    if name is not None and re.match(NAME, name) is None:
        raise UserError(f"no benchmark can be called {name!r}: use letters, digits, blanks and any of _ . + -")
    values = {"NAME": name or _name_of(folder), "KIND": kind, "SOURCE": source}
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    folder.mkdir(parents=True, exist_ok=True)
    write_at_once(file, text.encode())
    return file


def _name_of(folder: Path) -> str:
    plain = re.sub(r"[^\w.+-]+", " ", folder.absolute().name).lstrip(" .+-").rstrip()
    return plain or "benchmark"

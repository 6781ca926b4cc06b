"""`mmke build new`: the settings of a new project, every key explained."""

from importlib.resources import files
from pathlib import Path

from mmke import registry
from mmke.build.content import Kind
from mmke.build.settings import BUILD, read_settings
from mmke.errors import UserError
from mmke.lines import write_at_once


def new(folder: Path, *, kind: Kind, source: str = "mini", name: str | None = None) -> Path:
    """Write a project's `build.toml` and return its path.

    Args:
        folder: made where it is not there.
        kind: of knowledge.
        source: name of the source (`mmke ls sources`).
        name: of the benchmark; None: the folder's.

    Raises:
        UserError: an unknown source, a name that no file can have, or a project that is there already.
    """
    registry.import_string("sources", source)
    file = folder / BUILD
    if file.exists():
        raise UserError(f"{file} is there already; edit it, or choose another folder")
    text = (files("mmke.build") / "build.template.toml").read_text(encoding="utf-8")
    values = {"NAME": name or folder.absolute().name, "KIND": kind, "SOURCE": source}
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    folder.mkdir(parents=True, exist_ok=True)
    write_at_once(file, text.encode())
    try:
        read_settings(file)
    except UserError:
        file.unlink()
        raise
    return file

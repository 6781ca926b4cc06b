"""Settings of an editor: `<name>.toml` beside its module, what a backbone changes, then the user's own changes.

A settings file holds the values for every backbone at the top and, in tables `[backbone."<name>"]`, only what differs.
The editor's frozen dataclass has no defaults: the file states every value, and an unknown key is an error.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from beartype.door import is_bearable

from mmke import registry, renamed
from mmke.errors import UserError

S = TypeVar("S")


def resolve(editor: str, backbone: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return an editor's settings on a backbone.

    Args:
        editor: registered name.
        backbone: name of the backbone, whose table is laid over the base values.
        changes: the user's values, laid over both.

    Raises:
        UserError: the editor ships no settings file.
    """
    module = registry.import_string("editors", editor).partition(":")[0]
    shipped = files(module.rpartition(".")[0] or module) / f"{editor}.toml"
    if not shipped.is_file():
        raise UserError(
            f"editor {editor!r} has no settings file {shipped}; an editor ships its settings beside its module"
        )
    values = tomllib.loads(shipped.read_text(encoding="utf-8"))
    differing = values.pop("backbone", {})
    return {**values, **differing.get(backbone, {}), **changes}


def build(kind: type[S], values: Mapping[str, Any], *, editor: str) -> S:
    """Make a settings record of plain values, reporting all problems at once.

    Raises:
        UserError: unknown keys (with the nearest match), missing keys, values of the wrong type.
    """
    types = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    problems = [_unknown(key, names) for key in values if key not in names]
    problems += [f"{name} is missing" for name in names if name not in values]
    coerced = {name: _coerce(values[name], types[name]) for name in names if name in values}
    problems += [
        f"{name} = {value!r} is no {_kind(types[name])}"
        for name, value in coerced.items()
        if not _is(value, types[name])
    ]
    if problems:
        raise UserError(f"settings of {editor}: " + "; ".join(problems))
    return kind(**coerced)


def read_changes(assignments: list[str], file: Path | None) -> dict[str, dict[str, Any]]:
    """Read `--settings FILE.toml` (a table per editor) and `--set EDITOR.KEY=VALUE`, the latter laid over the former.

    Raises:
        UserError: a file that is no TOML, an assignment of another form, an unknown editor.
    """
    changes: dict[str, dict[str, Any]] = {}
    if file is not None:
        changes = _read_file(file)
    for assignment in assignments:
        left, equals, right = assignment.partition("=")
        editor, dot, key = left.strip().partition(".")
        if not equals or not dot or not key:
            raise UserError(f"--set {assignment!r} is not of the form EDITOR.KEY=VALUE, such as ft-llm.steps=20")
        changes.setdefault(editor, {})[key] = _value(right.strip())
        registry.import_string("editors", editor)
    return changes


def _read_file(path: Path) -> dict[str, dict[str, Any]]:
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"--settings {path}: {error}") from error
    loose = [key for key, value in read.items() if not isinstance(value, dict)]
    if loose:
        raise UserError(
            f"--settings {path}: {loose[0]!r} stands outside a table; write it under [EDITOR], such as [ft-llm]"
        )
    for editor in read:
        try:
            registry.import_string("editors", editor)
        except UserError as error:
            raise UserError(f"--settings {path}: {error}") from error
    return read


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _unknown(key: str, names: list[str]) -> str:
    if renamed.SETTINGS.get(key) in names:
        return f"unknown key {key!r} (it is called {renamed.SETTINGS[key]!r} now)"
    near = difflib.get_close_matches(key, names, n=1)
    return f"unknown key {key!r}" + (f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(names)})")


def _kind(kind: Any) -> str:
    return 'list, such as ["a", "b"]' if get_origin(kind) is tuple else str(getattr(kind, "__name__", kind))


def _is(value: Any, kind: Any) -> bool:
    # Python counts with True, a user does not.
    return is_bearable(value, kind) and (kind is bool or not isinstance(value, bool))


def _coerce(value: Any, kind: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return tuple(value) if isinstance(value, list) else value

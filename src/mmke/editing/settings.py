"""Settings of an editor: `<name>.toml` beside its module, then `<name>.<protocol>.toml`, then the user's own changes.

A settings file holds the values for every backbone at the top and, in tables `[backbone."<name>"]`, only what differs.
The editor's frozen dataclass has no defaults: the file states every value, and an unknown key is an error.

`<name>.paper.toml` is optional and holds only what the published code does differently. Two names in it are no
settings: `deviations` lists, in sentences for the user, what mmke still does otherwise than the published code, and
the table `[switches]` changes fields of `types.Switches` for this editor, such as the model that its locality is
compared with.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_origin, get_type_hints

from beartype.door import is_bearable

from mmke import registry, renamed
from mmke.errors import UserError
from mmke.types import Switches

S = TypeVar("S")


SWITCHES, DEVIATIONS, BACKBONE = "switches", "deviations", "backbone"
"""Names in a settings file that are no settings."""


class Layer(NamedTuple):
    """Values from one source; a later layer is laid over the earlier ones."""

    source: str
    values: Mapping[str, Any]


def resolve(editor: str, backbone: str, changes: Mapping[str, Any], *, protocol: str = "strict") -> dict[str, Any]:
    """Return an editor's settings on a backbone under a protocol; for the arguments see `layers`.

    Raises:
        UserError: the editor ships no settings file.
    """
    found = layers(editor, backbone, changes, protocol=protocol)
    return {key: value for layer in found for key, value in layer.values.items()}


def layers(editor: str, backbone: str, changes: Mapping[str, Any], *, protocol: str) -> list[Layer]:
    """Return where an editor's settings come from, the lowest layer first.

    Args:
        editor: registered name.
        backbone: name of the backbone, whose table is laid over the values for every backbone.
        changes: the user's values, laid over all others.
        protocol: whose file, if the editor ships one, is laid over the editor's own file.

    Raises:
        UserError: the editor ships no settings file.
    """
    shipped = {f"{editor}.toml": _base(editor), f"{editor}.{protocol}.toml": _published(editor, protocol)}
    found = []
    for source, values in shipped.items():
        differing = values.pop(BACKBONE, {}).get(backbone, {})
        for name, some in ((source, values), (f"{source} [{BACKBONE}.{backbone}]", differing)):
            found.append(Layer(name, {key: value for key, value in some.items() if key not in (SWITCHES, DEVIATIONS)}))
    return [*found, Layer("the user's changes", changes)]


def resolve_switches(switches: Switches, editor: str) -> Switches:
    """Return a protocol's switches as they act for one editor: the published code did not score all editors alike.

    Raises:
        UserError: the editor's file names a switch that does not exist.
    """
    own = _published(editor, switches.protocol).get(SWITCHES, {})
    names = [field.name for field in fields(switches)]
    problems = [_unknown(key, names) for key in own if key not in names]
    if problems:
        raise UserError(f"{editor}.{switches.protocol}.toml [{SWITCHES}]: {'; '.join(problems)}")
    return replace(switches, **own)


def deviations(editor: str, backbone: str, protocol: str) -> tuple[str, ...]:
    """Return in which ways an editor still differs from the published code on a backbone, in sentences for the user."""
    values = _published(editor, protocol)
    differing = values.get(BACKBONE, {}).get(backbone, {})
    return (*values.get(DEVIATIONS, ()), *differing.get(DEVIATIONS, ()))


def _base(editor: str) -> dict[str, Any]:
    shipped = _folder(editor) / f"{editor}.toml"
    if not shipped.is_file():
        raise UserError(
            f"editor {editor!r} has no settings file {shipped}; an editor ships its settings beside its module"
        )
    return tomllib.loads(shipped.read_text(encoding="utf-8"))


def _published(editor: str, protocol: str) -> dict[str, Any]:
    shipped = _folder(editor) / f"{editor}.{protocol}.toml"
    return tomllib.loads(shipped.read_text(encoding="utf-8")) if shipped.is_file() else {}


def _folder(editor: str) -> Traversable:
    module = registry.import_string("editors", editor).partition(":")[0]
    return files(module.rpartition(".")[0] or module)


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

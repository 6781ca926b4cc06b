"""Settings of an editor: `<name>.toml` beside its module, then `<name>.<protocol>.toml`, then the user's own changes.

A settings file holds the values for every backbone at the top and, in tables `[backbone."<name>"]`, only what differs.
The editor's model (`checked.EditorSettings`) has no defaults: the file states every value, and an unknown key is an
error.

`<name>.paper.toml` is optional and holds only what the published code does differently. Two names in it are no
settings: `deviations` lists, in sentences for the user, what mmke still does otherwise than the published code, and
the table `[switches]` changes fields of `types.Switches` for this editor, such as the model that its locality is
compared with. A trained editor's own file may also list, under `editing`, the settings that do not act in training: a
checkpoint is used whatever it states of them.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from mmke import registry
from mmke.editing.checked import EditorSettings, Values, build, sources_of, unknown
from mmke.errors import BrokenPluginError, UserError
from mmke.types import Switches

__all__ = [
    "EditorSettings",
    "Layer",
    "build",
    "deviations",
    "editing_alone",
    "layers",
    "read_changes",
    "resolve",
    "resolve_switches",
]

SWITCHES, DEVIATIONS, BACKBONE, EDITING = "switches", "deviations", "backbone", "editing"
"""Names in a settings file that are no settings."""
NO_SETTINGS = (SWITCHES, DEVIATIONS, EDITING)


class Layer(NamedTuple):
    """Values from one source; a later layer is laid over the earlier ones."""

    source: str
    values: Mapping[str, Any]


def resolve(editor: str, backbone: str, changes: Mapping[str, Any], *, protocol: str = "strict") -> Values:
    """Return an editor's settings on a backbone under a protocol; for the arguments see `layers`.

    Raises:
        UserError: the editor ships no settings file.
    """
    found = layers(editor, backbone, changes, protocol=protocol)
    values = {key: value for layer in found for key, value in layer.values.items()}
    shipped = {key: layer.source for layer in found[:-1] for key in layer.values if key not in changes}
    return Values(values, {**shipped, **sources_of(changes)})


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
            found.append(Layer(name, {key: value for key, value in some.items() if key not in NO_SETTINGS}))
    return [*found, Layer("the user's changes", changes)]


def resolve_switches(switches: Switches, editor: str) -> Switches:
    """Return a protocol's switches as they act for one editor: the published code did not score all editors alike.

    Raises:
        UserError: the editor's file names a switch that does not exist.
    """
    own = _published(editor, switches.protocol).get(SWITCHES, {})
    names = [field.name for field in fields(switches)]
    problems = [unknown(key, names) for key in own if key not in names]
    if problems:
        raise UserError(f"{editor}.{switches.protocol}.toml [{SWITCHES}]: {'; '.join(problems)}")
    return replace(switches, **own)


def deviations(editor: str, backbone: str, protocol: str) -> tuple[str, ...]:
    """Return in which ways an editor still differs from the published code on a backbone, in sentences for the user."""
    values = _published(editor, protocol)
    differing = values.get(BACKBONE, {}).get(backbone, {})
    return (*values.get(DEVIATIONS, ()), *differing.get(DEVIATIONS, ()))


def editing_alone(editor: str) -> tuple[str, ...]:
    """Return the names of the settings that act while editing and not in training."""
    return tuple(_base(editor).get(EDITING, ()))


def _base(editor: str) -> dict[str, Any]:
    shipped = _folder(editor) / f"{editor}.toml"
    if not shipped.is_file():
        raise BrokenPluginError(
            f"editor {editor!r} has no settings file {shipped}; an editor ships its settings beside its module"
        )
    return _toml(shipped)


def _published(editor: str, protocol: str) -> dict[str, Any]:
    shipped = _folder(editor) / f"{editor}.{protocol}.toml"
    return _toml(shipped) if shipped.is_file() else {}


def _toml(shipped: Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(shipped.read_text(encoding="utf-8"))
    except ValueError as error:  # also of bytes that are no UTF-8
        raise BrokenPluginError(f"the settings file {shipped} is no TOML ({error})") from error


def _folder(editor: str) -> Traversable:
    return registry.package_files("editors", editor)


def read_changes(assignments: Sequence[str], file: Path | None) -> dict[str, Values]:
    """Read `--settings FILE.toml` (a table per editor) and `--set EDITOR.KEY=VALUE`, the latter laid over the former.

    Raises:
        UserError: a file that is no TOML, an assignment of another form, an unknown editor.
    """
    changes: dict[str, Values] = {}
    if file is not None:
        changes = {
            name: Values(table, dict.fromkeys(table, f"--settings {file}")) for name, table in _read_file(file).items()
        }
    for assignment in assignments:
        left, equals, right = assignment.partition("=")
        editor, dot, key = left.strip().partition(".")
        if not equals or not dot or not key:
            raise UserError(f"--set {assignment!r} is not of the form EDITOR.KEY=VALUE, such as ft-llm.steps=20")
        registry.import_string("editors", editor)
        own = changes.setdefault(editor, Values({}, {}))
        own[key], own.sources[key] = _value(right.strip()), f"--set {assignment}"
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

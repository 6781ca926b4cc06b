"""Names of everything that can be chosen, each an import string that is loaded when it is asked for.

Other packages add to it through entry points of the groups `mmke.backbones`, `mmke.editors`, `mmke.benchmarks` and
`mmke.metrics`; a name that exists here already is an error.

Factories:
    backbone: `(*, name, dtype, device, weights, skeleton) -> Backbone`; a skeleton has everything but its weights
    editor: `(settings, switches, *, train, seed) -> Editor`; its settings are `<name>.toml` beside its module
    benchmark: `(*, name, data) -> Benchmark`
    metric: `(switches) -> Sequence[Metric]`
"""

import ast
import importlib.util
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from mmke.errors import UserError, did_you_mean

Noun = Literal["backbones", "editors", "benchmarks", "metrics"]

BUILT_IN: Mapping[Noun, Mapping[str, str]] = {
    "backbones": {
        "smol-llava": "mmke.backbones.smol.llava:load",
        "smol-minigpt4": "mmke.backbones.smol.minigpt4:load",
        "llava-1.5-7b": "mmke.backbones.llava:load",
        "minigpt4-7b": "mmke.backbones.minigpt4:load",
        "blip2-opt-2.7b": "mmke.backbones.blip2:load",
        "tiny-llava": "mmke.backbones.tiny:load_llava",
        "tiny-minigpt4": "mmke.backbones.tiny:load_minigpt4",
        "tiny-blip2": "mmke.backbones.tiny:load_blip2",
    },
    "editors": {
        "none": "mmke.editors.none.edit:make",
        "ft-llm": "mmke.editors.ft.edit:make_llm",
        "ft-alignment": "mmke.editors.ft.edit:make_alignment",
        "ike": "mmke.editors.ike.edit:make_ike",
        "ike-random": "mmke.editors.ike.edit:make_ike_random",
        "serac": "mmke.editors.serac.edit:make",
        "mend": "mmke.editors.mend.edit:make",
        "ke": "mmke.editors.ke.edit:make",
    },
    "benchmarks": {
        "mini-entity": "mmke.benchmarks.embedded:load",
        "mini-visual": "mmke.benchmarks.embedded:load",
        "mini-user": "mmke.benchmarks.embedded:load",
        "mmke-entity": "mmke.benchmarks.published:load",
        "mmke-visual": "mmke.benchmarks.published:load",
        "mmke-user": "mmke.benchmarks.published:load",
    },
    "metrics": {
        "accuracy": "mmke.metrics.accuracy:make",
        "agreement": "mmke.metrics.agreement:make",
        "divergence": "mmke.metrics.divergence:make",
        "exact-match": "mmke.metrics.generation:make_exact_match",
        "token-f1": "mmke.metrics.generation:make_token_f1",
    },
}


PREFIXES: Mapping[Noun, Mapping[str, str]] = {"backbones": {"hf:": "mmke.backbones.hf.model:load"}}
"""Beginnings of names that say by themselves what is meant, such as `hf:org/model` or `hf:folder`."""


def names(noun: Noun) -> Mapping[str, str]:
    """Return every registered name with its import string, built-in ones first.

    Raises:
        UserError: another package registers a name that is taken.
    """
    found = dict(BUILT_IN[noun])
    for entry in entry_points(group=f"mmke.{noun}"):
        if entry.name in found and found[entry.name] != entry.value:
            raise UserError(
                f"{noun[:-1]} {entry.name!r} is registered twice: by {found[entry.name]} and by {entry.value}; "
                "uninstall or rename one of the two"
            )
        found[entry.name] = entry.value
    return found


def import_string(noun: Noun, name: str) -> str:
    """Return where a name's factory lives.

    Raises:
        UserError: unknown name; the message gives the nearest match.
    """
    known = names(noun)
    if name in known:
        return known[name]
    for prefix, where in PREFIXES.get(noun, {}).items():
        if name.startswith(prefix):
            return where
    raise UserError(f"unknown {noun[:-1]} {name!r}{did_you_mean(name, known)} (mmke ls {noun})")


def factory(noun: Noun, name: str) -> Any:
    """Import and return the factory behind a name.

    Raises:
        UserError: unknown name, or the module that registers it cannot be imported.
    """
    where = import_string(noun, name)
    module, _, attribute = where.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except AttributeError as error:
        raise UserError(f"{noun[:-1]} {name!r} is registered as {where}, and {module} has no {attribute!r}") from error
    except ModuleNotFoundError as error:
        raise UserError(
            f"{noun[:-1]} {name!r} ({where}) needs the Python package {error.name!r}, which is not installed"
        ) from error


def summary(where: str) -> str:
    """Return the first line of a factory's docstring, or else of its module's, read without importing the module."""
    module, _, attribute = where.partition(":")
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        return "(its package is not installed)"
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    factories = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == attribute]
    text = next((ast.get_docstring(node) for node in factories), None) or ast.get_docstring(tree) or ""
    return text.partition("\n")[0]

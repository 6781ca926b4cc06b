"""Names of everything that can be chosen, each an import string that is loaded when it is asked for.

Other packages add to it through entry points of the groups `mmke.<noun>`: `mmke.backbones`, `mmke.editors` and so
on. A name that two packages register is an error when it is asked for, and so is one of a broken package;
all other names go on working.

`FACTORIES` says how each kind of factory is called. A backbone's skeleton has everything but its weights; an editor's
settings are `<name>.toml` beside its module.
"""

import ast
import importlib.util
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmke.errors import BrokenPluginError, UserError, did_you_mean

Noun = Literal["backbones", "editors", "benchmarks", "metrics", "sources", "writers", "rules", "trackers"]

FACTORIES: Mapping[Noun, str] = {
    "backbones": "make(*, name, dtype, device, weights, skeleton) -> Backbone",
    "editors": "make(settings, switches, *, train, seed) -> Editor",
    "benchmarks": "make(*, name, data) -> Benchmark",
    "metrics": "make(switches) -> Sequence[Metric]",
    "sources": "make(project) -> Source",
    "writers": "make(project) -> Writer",
    "rules": "make() -> Rule",
    "trackers": "make(*, project, folder) -> Tracker",
}

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
        "lora": "mmke.editors.lora.edit:make",
        "ultraedit": "mmke.editors.ultraedit.edit:make",
        "grace": "mmke.editors.grace.edit:make",
        "m-ore": "mmke.editors.m_ore.edit:make",
        "mscke": "mmke.editors.mscke.edit:make",
        "wise": "mmke.editors.wise.edit:make",
        "gated-note": "mmke.editors.gated_note.edit:make",
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
        "agree": "mmke.metrics.hard_locality:make_agree",
        "leak": "mmke.metrics.hard_locality:make_leak",
        "devqa": "mmke.metrics.hard_locality:make_devqa",
    },
    "sources": {
        "mini": "mmke.build.sources.mini.source:make",
        "folder": "mmke.build.sources.folder.source:make",
        "wikidata": "mmke.build.sources.wikidata.source:make",
    },
    "writers": {
        "templates": "mmke.build.writers.templates.writer:make",
        "llm": "mmke.build.writers.llm.writer:make",
    },
    "rules": {
        "complete": "mmke.build.rules.texts:make_complete",
        "short-answer": "mmke.build.rules.answers:make_short",
        "answer-in-description": "mmke.build.rules.answers:make_stated",
        "portability-not-in-description": "mmke.build.rules.answers:make_unstated_port",
        "new-answer": "mmke.build.rules.answers:make_new",
        "answer-not-in-question": "mmke.build.rules.answers:make_hidden",
        "one-answer": "mmke.build.rules.answers:make_one",
        "picture-question-unnamed": "mmke.build.rules.naming:make_unnamed",
        "text-question-named": "mmke.build.rules.naming:make_named",
        "description-names-subject": "mmke.build.rules.naming:make_description",
        "consistent-changes": "mmke.build.rules.changes:make_consistent",
        "untrue-value": "mmke.build.rules.changes:make_untrue",
        "new-value-said": "mmke.build.rules.changes:make_said",
        "replaced-value-gone": "mmke.build.rules.changes:make_gone",
        "near-copies": "mmke.build.rules.copies:make_near",
        "duplicate-records": "mmke.build.rules.copies:make_between",
        "pictures-of-one-thing": "mmke.build.rules.pictures:make_one_thing",
        "locality-picture-in-no-edit": "mmke.build.rules.pictures:make_locality",
        "side-by-side": "mmke.build.rules.pictures:make_side_by_side",
        "picture-files": "mmke.build.rules.pictures:make_files",
        "locality-untouched": "mmke.build.rules.locality:make_untouched",
        "grammar": "mmke.build.rules.grammar:make_words",
        "pointed-noun": "mmke.build.rules.grammar:make_pointed",
        "length": "mmke.build.rules.texts:make_length",
        "private-data": "mmke.build.rules.texts:make_private",
    },
    "trackers": {
        "tensorboard": "mmke.trackers.tensorboard:make",
        "wandb": "mmke.trackers.wandb:make",
        "trackio": "mmke.trackers.trackio:make",
    },
}


PREFIXES: Mapping[Noun, Mapping[str, str]] = {"backbones": {"hf:": "mmke.backbones.hf.model:load"}}
"""Beginnings of names that say by themselves what is meant, such as `hf:org/model` or `hf:folder`."""


class Entry(NamedTuple):
    """Where a factory lives, and which installed package registers it; None: this one."""

    where: str
    package: str | None


def names(noun: Noun) -> Mapping[str, str]:
    """Return every registered name with its import string, built-in ones first."""
    return {name: entries[0].where for name, entries in _registered(noun).items()}


def import_string(noun: Noun, name: str) -> str:
    """Return where a name's factory lives.

    Raises:
        UserError: unknown name; the message gives the nearest match.
        BrokenPluginError: two packages register the name.
    """
    return _entry(noun, name).where


def factory(noun: Noun, name: str) -> Callable[..., Any]:
    """Import and return the factory behind a name; one of another package is checked when it is called.

    Raises:
        UserError: unknown name, or a Python package is missing that the factory's module needs.
        BrokenPluginError: another package's module cannot be imported or has no such factory. Calling the factory
            raises it where it does not take the arguments, raises an error of its own, or makes something else.
    """
    entry = _entry(noun, name)
    module, _, attribute = entry.where.partition(":")
    with _loading(noun, name, entry):
        loaded = import_module(module)
    found = getattr(loaded, attribute, None) if attribute else None
    if not callable(found):
        raise BrokenPluginError(f"{_described(noun, name, entry)} cannot be used: {module} has no {attribute!r}")
    made: Callable[..., Any] = found
    return made if entry.package is None else partial(_make, noun, name, entry, made)


def package_files(noun: Noun, name: str) -> Traversable:
    """Return the folder of the package that a name's factory lives in, where its settings files are.

    Raises:
        UserError: unknown name.
        BrokenPluginError: the package cannot be imported.
    """
    entry = _entry(noun, name)
    module = entry.where.partition(":")[0]
    with _loading(noun, name, entry):
        loaded = import_module(module.rpartition(".")[0] or module)
        # One module by itself is no package, and the library finds files of packages alone.
        return files(loaded) if hasattr(loaded, "__path__") else Path(str(loaded.__file__)).parent


@contextmanager
def named(noun: Noun, name: str) -> Iterator[None]:
    """Say of an error that another package raises while it is used which name and package it comes from.

    Raises:
        BrokenPluginError: an error was raised in the package's own code, or in code that it called.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        # Not before: looking through all installed packages takes milliseconds, and a rule is used for every record.
        entry = _entry(noun, name)
        if entry.package is None or not _frames(error, entry):
            raise
        raise BrokenPluginError(f"{_described(noun, name, entry)} failed: {_reason(error, entry)}") from error


def summary(where: str) -> str:
    """Return the first line of a factory's docstring, or else of its module's, read without importing the module."""
    module, _, attribute = where.partition(":")
    try:
        found = importlib.util.find_spec(module)  # which imports the package around the module
        if found is None or found.origin is None:
            return "(its package is not installed)"
        tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    except ModuleNotFoundError:
        return "(its package is not installed)"
    except Exception as error:  # noqa: BLE001  # another package can fail in any way, and the list goes on
        return f"(its package is broken: {_reason(error, Entry(where, None))})"
    factories = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == attribute]
    text = next((ast.get_docstring(node) for node in factories), None) or ast.get_docstring(tree) or ""
    return text.partition("\n")[0]


def _registered(noun: Noun) -> dict[str, list[Entry]]:
    found = {name: [Entry(where, None)] for name, where in BUILT_IN[noun].items()}
    for point in entry_points(group=f"mmke.{noun}"):
        entry = Entry(point.value, "unknown" if point.dist is None else point.dist.name)
        # An editable installation beside its source can show one entry twice.
        if entry.where not in {each.where for each in found.setdefault(point.name, [])}:
            found[point.name].append(entry)
    return found


def _entry(noun: Noun, name: str) -> Entry:
    known = _registered(noun)
    if len(known.get(name, [])) > 1:
        first, second = (f"{each.where} (package {each.package or 'mmke'})" for each in known[name][:2])
        raise BrokenPluginError(
            f"{noun[:-1]} {name!r} is registered twice: by {first} and by {second}; uninstall or rename one of the two"
        )
    if name in known:
        return known[name][0]
    for prefix, where in PREFIXES.get(noun, {}).items():
        if name.startswith(prefix):
            return Entry(where, None)
    raise UserError(f"unknown {noun[:-1]} {name!r}{did_you_mean(name, known)} (mmke ls {noun})")


def _make(noun: Noun, name: str, entry: Entry, factory: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call another package's factory, and hold what it makes against what its noun promises."""
    what = _described(noun, name, entry)
    try:
        inspect.signature(factory).bind(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise BrokenPluginError(
            f"{what} cannot be used: its factory is called as {FACTORIES[noun]}, and does not take that ({error})"
        ) from error
    with _loading(noun, name, entry):
        made = factory(*args, **kwargs)
        several = list(made) if noun == "metrics" else [made]
    for each in several:
        lacking = [member for member in _promised(noun) if not hasattr(each, member)]
        if lacking:
            raise BrokenPluginError(
                f"{what} cannot be used: its factory returned a {type(each).__name__} that lacks {', '.join(lacking)}"
            )
    return made


def _promised(noun: Noun) -> list[str]:
    """Return the names of the attributes and methods that a noun's protocol promises."""
    # Here and not above: protocols import torch, which a list of names does without.
    from mmke import protocols, types
    from mmke.build import protocols as build
    from mmke.trackers.protocol import Tracker

    promise: type = {
        "backbones": protocols.Backbone,
        "editors": protocols.Editor,
        "benchmarks": types.Benchmark,
        "metrics": types.Metric,
        "sources": build.Source,
        "writers": build.Writer,
        "rules": build.Rule,
        "trackers": Tracker,
    }[noun]
    members = {name for each in promise.__mro__ for name in (*vars(each), *getattr(each, "__annotations__", ()))}
    return sorted(name for name in members if not name.startswith("_"))


@contextmanager
def _loading(noun: Noun, name: str, entry: Entry) -> Iterator[None]:
    """Say of an error which name it belongs to; one in this package, which is a bug, keeps its traceback."""
    try:
        yield
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise BrokenPluginError(
            f"{_described(noun, name, entry)} needs the Python package {error.name!r}, which is not installed"
        ) from error
    except Exception as error:
        if entry.package is None:
            raise
        raise BrokenPluginError(f"{_described(noun, name, entry)} cannot be used: {_reason(error, entry)}") from error


def _described(noun: Noun, name: str, entry: Entry) -> str:
    package = "" if entry.package is None else f", package {entry.package}"
    return f"{noun[:-1]} {name!r} ({entry.where}{package})"


def _frames(error: Exception, entry: Entry) -> list[tuple[str, int]]:
    """Return the places of a traceback that are in the package of an entry, as files and lines."""
    package = entry.where.partition(":")[0].partition(".")[0]
    walked = traceback.walk_tb(error.__traceback__)
    return [
        (frame.f_code.co_filename, line)
        for frame, line in walked
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == package
    ]


def _reason(error: Exception, entry: Entry) -> str:
    """Return an error's kind, text and place in one line."""
    if isinstance(error, SyntaxError):
        file, line = error.filename, error.lineno
    else:
        last = traceback.extract_tb(error.__traceback__)[-1]
        file, line = (_frames(error, entry) or [(last.filename, last.lineno or 0)])[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({file}, line {line})"

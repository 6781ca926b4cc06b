"""Make the editors of a run.

In: a request, an editor's name, a benchmark's name and its training records. Out: the editor, its settings and
switches, and for a trained one the checkpoint that it will be filled from.
"""

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmke import registry
from mmke.benchmarks.digests import among
from mmke.editing import settings as editor_settings
from mmke.editing.checked import Values, sources_of
from mmke.editing.trained import TrainedFor, check_fits, find, read_facts
from mmke.errors import NeedsTrainingError, UserError
from mmke.protocols import Editor, TrainableEditor
from mmke.running.request import Request
from mmke.types import PROTOCOLS, EditCase, Switches

logger = logging.getLogger(__name__)


class MadeEditor(NamedTuple):
    """An editor, the settings and switches that it was made with, and the checkpoint that it is to be filled from."""

    editor: Editor
    settings: Mapping[str, Any]
    switches: Switches
    checkpoint: Path | None


class Overlap(NamedTuple):
    """How many of the evaluated records a checkpoint was trained on, and by how many it was chosen among others."""

    trained_on: int = 0
    chosen_by: int = 0


NO_OVERLAP = Overlap()


def find_overlap(made: MadeEditor, cases: Sequence[EditCase]) -> Overlap:
    """Return which of the evaluated records an editor's checkpoint knows already, and warn of them."""
    if made.checkpoint is None:
        return NO_OVERLAP
    facts, name = read_facts(made.checkpoint)[0], made.editor.name
    if not facts.trained_on:
        logger.warning(
            "%s: %s does not say which records it was trained on (it was imported, or trained by an earlier version), "
            "so that nothing tells whether these are among them",
            name,
            made.checkpoint,
        )
    seen, chosen = among(cases, facts.trained_on), among(cases, facts.validated_on)
    if seen:
        logger.warning(
            "%s: %s was trained on %d of these %d records, the first: %s; their figures say how well it remembers them",
            name,
            made.checkpoint,
            len(seen),
            len(cases),
            seen[0],
        )
    if chosen:
        logger.warning(
            "%s: %s was chosen among others by %d of these %d records, so that their figures flatter it",
            name,
            made.checkpoint,
            len(chosen),
            len(cases),
        )
    return Overlap(len(seen), len(chosen))


def make_editor(request: Request, name: str, benchmark: str | None, *, train: Sequence[EditCase]) -> MadeEditor:
    """Make an editor of a request for one benchmark, or for none: then only a checkpoint that comes with mmke is found.

    Raises:
        UserError: a wrong setting, a checkpoint of something else, a factory that returns another editor.
        NeedsTrainingError: it needs training records or a checkpoint, and there are none.
    """
    changes = request.changes.get(name, {})
    switches = editor_settings.resolve_switches(PROTOCOLS[request.protocol], name)
    values: Mapping[str, Any] = editor_settings.resolve(name, request.backbone, changes, protocol=request.protocol)
    checkpoint = None if request.untrained else _find_checkpoint(request, name, benchmark)
    facts = None if checkpoint is None else _facts(checkpoint, name, request.backbone)
    editing = editor_settings.editing_alone(name)
    if facts is not None:
        stated = {key: value for key, value in facts.settings.items() if key not in editing}
        trained = dict.fromkeys(stated, str(checkpoint))
        values = Values({**values, **stated, **changes}, {**sources_of(values), **trained, **sources_of(changes)})
    editor: Editor = registry.factory("editors", name)(values, switches, train=train, seed=request.seed)
    if not isinstance(editor, TrainableEditor):
        if name in request.checkpoints:
            raise UserError(f"{name} is not trained, so that it takes no checkpoint")
    elif checkpoint is not None and facts is not None:
        # Only now: a misspelt name among the changes has been refused as such.
        in_training = {key: value for key, value in changes.items() if key not in editing}
        check_fits(checkpoint, facts, editor=name, backbone=request.backbone, settings=in_training)
        if facts.protocol != request.protocol:
            logger.warning(
                "%s: %s was trained under %s, and this is %s; its own settings stay those that it was trained with",
                name,
                checkpoint,
                facts.protocol,
                request.protocol,
            )
    elif not request.untrained:
        raise _needs_training(request, name, benchmark)
    if editor.name != name:
        raise UserError(
            f"the editor registered as {name!r} calls itself {editor.name!r}; results are kept by name, so let its "
            "factory return an editor of the registered name"
        )
    return MadeEditor(editor, values, switches, checkpoint)


def _find_checkpoint(request: Request, name: str, benchmark: str | None) -> Path | None:
    """Return the checkpoint that the user named, or one that was trained under the run's own protocol."""
    if name in request.checkpoints:
        return request.checkpoints[name]
    places = find(name, request.backbone, benchmark)
    return next((place for place in places if read_facts(place)[0].protocol == request.protocol), None)


def _facts(checkpoint: Path, editor: str, backbone: str) -> TrainedFor:
    facts, _ = read_facts(checkpoint)
    check_fits(checkpoint, facts, editor=editor, backbone=backbone, settings={})
    return facts


def _needs_training(request: Request, name: str, benchmark: str | None) -> NeedsTrainingError:
    places = {place: read_facts(place)[0].protocol for place in find(name, request.backbone, benchmark)}
    told = "".join(f"; {place} was trained under {protocol}" for place, protocol in places.items())
    if benchmark is None:
        return NeedsTrainingError(
            f"{name} has to be trained for {request.backbone} under {request.protocol} first{told}: mmke train {name} "
            f"--backbone {request.backbone} --protocol {request.protocol}; then give its checkpoint=PATH"
        )
    # As the user wrote it: the name of one's own file is not its path.
    written = next((each for each in request.benchmarks if Path(each).name == benchmark), benchmark)
    return NeedsTrainingError(
        f"{name} has to be trained for {request.backbone} and {benchmark} under {request.protocol} first{told}: mmke "
        f"train {name} --backbone {request.backbone} --benchmark {written}{_own_options(request, name)} "
        f"--protocol {request.protocol}; or name a checkpoint: --checkpoint {name}=PATH"
    )


def _own_options(request: Request, editor: str) -> str:
    """Return the user's own options that the training of an editor needs as well, as they are written in a command."""
    device = None if request.device == "cpu" else request.device
    named = {"--data": request.data, "--weights": request.weights, "--device": device, "--dtype": request.dtype}
    words = [word for name, value in named.items() if value is not None for word in (name, str(value))]
    for key, value in request.changes.get(editor, {}).items():
        words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return "".join(f" {shlex.quote(word)}" for word in words)

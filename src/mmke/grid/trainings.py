"""The trainings of a grid: which checkpoint a cell takes, and whether it is there.

In: a `TrainRequest`. Out: a checkpoint, or nothing: then the training is still to do. A checkpoint of the grid's own
folder comes first; one that lies in the folder of checkpoints, or comes with mmke, serves as well where it was trained
under the same protocol and with the same settings.
"""

from collections.abc import Mapping
from pathlib import Path

from mmke.benchmarks.open import open_benchmark
from mmke.editing import settings as editor_settings
from mmke.editing.trained import BEST, LAST, check_fits, find, home, read_facts
from mmke.errors import UserError
from mmke.training.train import TrainRequest

Key = tuple[str, str, tuple[str, ...], str]


def key_of(request: TrainRequest) -> Key:
    """Return what tells the trainings of a grid apart."""
    return request.editor, request.backbone, request.benchmarks, request.protocol


def text_of(request: TrainRequest) -> str:
    """Say what is trained, and for what."""
    on = " and ".join(request.benchmarks)
    return f"training of {request.editor} for {request.backbone} on {on} under {request.protocol}"


def checkpoint_of(request: TrainRequest) -> Path | None:
    """Return the checkpoint of a training that is finished, or another that can take its place.

    Raises:
        UserError: the training's folder holds one with other settings, or a file is broken.
    """
    folder = own_folder(request)
    best, last = folder / BEST, folder / LAST
    if best.is_file() or last.is_file():
        _check_same(last if last.is_file() else best, request)
        return best if is_finished(folder) else None
    names = "+".join(sorted(_name(each, request) for each in request.benchmarks))
    # The folder of checkpoints itself, where `mmke train` puts them.
    found = find(request.editor, request.backbone, names, folder=request.out.parent)
    return next((path for path in found if _serves(path, request)), None)


def own_folder(request: TrainRequest) -> Path:
    """Return where a training of the grid goes."""
    names = sorted(_name(each, request) for each in request.benchmarks)
    return home(request.backbone, folder=request.out) / "+".join(names) / request.editor


def is_finished(folder: Path) -> bool:
    """Tell whether a training has come to its end, or its checkpoint was imported."""
    best, last = folder / BEST, folder / LAST
    if last.is_file():
        return best.is_file() and bool(read_facts(last)[1].get("finished"))
    # An imported checkpoint does not say how many records it was trained on.
    return best.is_file() and read_facts(best)[0].records == 0


def begun(request: TrainRequest) -> int:
    """Return how many records a training that is not finished has trained on."""
    last = own_folder(request) / LAST
    return read_facts(last)[0].records if last.is_file() else 0


def settings_of(request: TrainRequest) -> Mapping[str, object]:
    """Return the settings that a training has, without those that act only while editing."""
    values = editor_settings.resolve(request.editor, request.backbone, request.changes, protocol=request.protocol)
    editing = editor_settings.editing_alone(request.editor)
    return {key: value for key, value in values.items() if key not in editing}


def _check_same(path: Path, request: TrainRequest) -> None:
    facts = read_facts(path)[0]
    if facts.records and facts.seed != request.seed:
        raise UserError(
            f"{path} was trained with seed {facts.seed}, and the grid says training.seed = {request.seed}; choose "
            "another --checkpoints"
        )
    given = settings_of(request) if facts.records else {}
    check_fits(path, facts, editor=request.editor, backbone=request.backbone, settings=given)


def _serves(path: Path, request: TrainRequest) -> bool:
    facts = read_facts(path)[0]
    if facts.protocol != request.protocol:
        return False
    try:
        check_fits(path, facts, editor=request.editor, backbone=request.backbone, settings=request.changes)
    except UserError:
        return False
    return True


def _name(benchmark: str, request: TrainRequest) -> str:
    """Return a benchmark's own name, which of a file is not its path; as it is written where it cannot be opened."""
    try:
        return open_benchmark(benchmark, data=request.data).name
    except UserError:
        return benchmark

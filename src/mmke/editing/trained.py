"""Checkpoints of trained editors: safetensors files that state what they were trained for.

In and out: tensors by name, and a `TrainedFor`, which stands in the file's metadata as JSON. A run looks for them where
training wrote them, `checkpoints/<backbone>/<benchmark>/<editor>/best.safetensors`, and then among those that come with
the editor, `trained/<editor>-<backbone>.safetensors` beside its module.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mmke import registry, renamed
from mmke.errors import NeedsTrainingError, UserError

Module = TypeVar("Module", bound=nn.Module)

VERSION = 1
KEY = "mmke"
"""Under which the facts stand in a file's metadata."""
BEST, LAST = "best.safetensors", "last.safetensors"
FOLDER = Path("checkpoints")
NETWORK = "network."
"""Before the names of the networks' own tensors."""
OPTIMIZER, OLD_OPTIMIZER = "optimizer.", "optimiser."
"""Before the names of the optimizer's tensors, with which training goes on; the second in earlier versions."""
OF_SAMPLES, OF_ALL_BYTES = re.compile(r"[0-9a-f]{16}|sha256 of samples .+"), re.compile(r"sha256 [0-9a-f]{32}")
"""Revisions of weights as earlier versions wrote them, and as they are today."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedFor:
    """What a checkpoint was trained for and how.

    Attributes:
        editor: its name.
        backbone: its name.
        weights_revision: of the backbone.
        benchmarks: whose training records it saw.
        protocol: under which.
        settings: of the editor, resolved.
        seed: of the order and of the fresh networks.
        records: that were trained on so far.
        figures: of the validation, where it is the best one.
        trained_on: digests of the training records (`benchmarks.digests`); empty where they are not known.
        validated_on: digests of the records by which the best networks were chosen.
    """

    editor: str
    backbone: str
    weights_revision: str
    benchmarks: tuple[str, ...]
    protocol: str
    settings: Mapping[str, Any]
    seed: int
    records: int
    figures: Mapping[str, float]
    trained_on: tuple[str, ...] = ()
    validated_on: tuple[str, ...] = ()


def write(path: Path, tensors: Mapping[str, Tensor], facts: TrainedFor, *, further: Mapping[str, Any]) -> None:
    """Write a checkpoint so that, whenever the machine stops, the old or the new one is there.

    Args:
        path: where to.
        tensors: of the networks, and whatever training needs to go on.
        facts: what it was trained for.
        further: plain data that training needs to go on.

    Raises:
        UserError: it cannot be written; what stood there before still does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.tmp")
    stated = {name: getattr(facts, name) for name in facts.__dataclass_fields__}
    plain = {"version": VERSION, **stated, "settings": dict(facts.settings), "further": dict(further)}
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        save_file(own, draft, metadata={KEY: json.dumps(plain, sort_keys=True)})
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        # The library lets the owner alone read it; whoever may read the folder may read the checkpoint.
        draft.chmod(path.parent.stat().st_mode & 0o666)
        draft.replace(path)
    except (SafetensorError, OSError) as error:
        with suppress(OSError):
            draft.unlink()
        before = "; the one before it is kept" if path.is_file() else ""
        raise UserError(
            f"{path} cannot be written ({error}){before}; make room or give the folder the rights it needs, and give "
            "the same command again"
        ) from error


def write_network(path: Path, tensors: Mapping[str, Tensor], facts: TrainedFor) -> None:
    """Write a checkpoint that holds an editor's networks alone."""
    write(path, {f"{NETWORK}{name}": tensor for name, tensor in tensors.items()}, facts, further={})


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: its tensors, what it was trained for, and what training needs to go on."""

    path: Path
    tensors: Mapping[str, Tensor]
    facts: TrainedFor
    further: Mapping[str, Any]


def read(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UserError: no such file, a broken one, one of another program or of another version, a pickle, a tensor that
            belongs to nothing or holds values that are no finite numbers.
    """
    facts, further = read_facts(path)
    try:
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is broken ({error}); delete it and train again, or copy it again") from error
    _check_names(path, tensors)
    check_finite(path, network_tensors(tensors))
    return Checkpoint(path, tensors, facts, further)


def read_facts(path: Path) -> tuple[TrainedFor, Mapping[str, Any]]:
    """Read what a checkpoint was trained for, and what training needs to go on, but no tensor.

    Raises:
        UserError: see `read`.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; mmke train writes them")
    if path.suffix != ".safetensors":
        raise UserError(
            f"{path} is no safetensors file; checkpoints of the published code come in by: mmke import --help"
        )
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        plain = dict(json.loads(metadata[KEY]))
        version = plain.pop("version")
        if version == VERSION:
            further = plain.pop("further")
            lists = ("benchmarks", "trained_on", "validated_on")
            own: dict[str, Any] = {name: tuple(plain[name]) for name in lists if name in plain}
            own["settings"] = renamed.trained(plain["settings"], editor=plain["editor"], protocol=plain["protocol"])
            return TrainedFor(**{**plain, **own}), further
    except KeyError as error:
        raise UserError(f"{path} does not say which editor it is of; mmke train writes checkpoints that do") from error
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is broken ({error}); delete it and train again, or copy it again") from error
    raise UserError(f"{path} has version {version} and this program reads {VERSION}; train again")


def read_shapes(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint's networks without their values: on the meta device.

    Raises:
        UserError: see `read`.
    """
    read_facts(path)
    with safe_open(path, framework="pt") as opened:
        slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
    _check_names(path, slices)
    return network_tensors({name: torch.empty(each.get_shape(), device="meta") for name, each in slices.items()})


def _check_names(path: Path, names: Iterable[str]) -> None:
    surplus = [name for name in names if not name.startswith((NETWORK, OPTIMIZER, OLD_OPTIMIZER))]
    if surplus:
        raise UserError(
            f"{path} holds a tensor {surplus[0]!r} that belongs neither to the networks nor to their optimizer; copy "
            "the file again, or train again"
        )


def check_fits(path: Path, facts: TrainedFor, *, editor: str, backbone: str, settings: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another editor or backbone, or one that was trained with other values of some settings.

    Raises:
        UserError: the message says which.
    """
    for what, there, here in (("editor", facts.editor, editor), ("backbone", facts.backbone, backbone)):
        if there != here:
            raise UserError(f"{path} is a checkpoint of the {what} {there!r}, and this run uses {here!r}")
    now = json.loads(json.dumps(dict(settings)))
    other = sorted(key for key, value in now.items() if facts.settings.get(key) != value)
    if other:
        told = "; ".join(f"{key} = {facts.settings.get(key)} there and {now[key]} here" for key in other)
        raise UserError(
            f"{path} was trained with other settings: {told}; train again into another --out, or give its settings "
            "with --set"
        )


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that hold NaN or infinity: every answer of an editor would be made of them.

    Raises:
        UserError: the message names the first of them.
    """
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise UserError(
            f"{path} holds values that are no finite numbers, in {len(broken)} of {len(tensors)} tensors, the first "
            f"{broken[0]!r}; train again, with a smaller learning_rate or in float32, or copy the file again"
        )


def check_weights(path: Path, facts: TrainedFor, *, revision: str) -> None:
    """Refuse a checkpoint that was trained on other weights of the same backbone; an imported one does not say.

    Raises:
        UserError: the message says which.
    """
    if not facts.records or facts.weights_revision == revision:
        return
    if OF_SAMPLES.fullmatch(facts.weights_revision) and OF_ALL_BYTES.fullmatch(revision):
        log.warning("%s was trained by an earlier version; whether on these very weights cannot be compared", path)
    else:
        raise UserError(
            f"{path} was trained for {facts.backbone} with the weights {facts.weights_revision!r}, and these are "
            f"{revision!r}; train again, or name the folder of those weights with --weights"
        )


def find(editor: str, backbone: str, benchmark: str | None, *, folder: Path = FOLDER) -> list[Path]:
    """Return the checkpoints of an editor for a backbone and a benchmark, the user's own before those that come along.

    Which protocol one was trained under is among its facts. Without a benchmark only those that come along are found.
    For a benchmark that is joined of several (`A+B`), one fits that was trained on all of them; how records are divided
    into edits (`A@split`) does not matter.
    """
    own = sorted(home(backbone, folder=folder).glob(f"*/{editor}/{BEST}"))
    shipped = Path(str(registry.package_files("editors", editor))) / "trained" / f"{editor}-{backbone}.safetensors"
    wanted = set() if benchmark is None else _parts(benchmark)
    fitting = [place for place in own if wanted and wanted <= _parts(place.parent.parent.name)]
    return fitting + ([shipped] if shipped.is_file() else [])


def _parts(benchmark: str) -> set[str]:
    """Return the names that a benchmark's name is joined of, without how their records are divided."""
    return {part.partition("@")[0] for part in benchmark.split("+")}


def home(backbone: str, *, folder: Path = FOLDER) -> Path:
    """Return where a backbone's checkpoints are."""
    return folder / backbone.replace("/", "--")


def digest(path: Path) -> str:
    """Return a digest of a checkpoint's networks, by which a run's folder knows them.

    It is of the tensors alone: what the file says about its training may be added to without changing any row.

    Raises:
        UserError: see `read`.
    """
    found = hashlib.sha256()
    for name, tensor in sorted(network_tensors(read(path).tensors).items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def laid_out(network: Module | None, editor: str) -> Module:
    """Return an editor's networks.

    Raises:
        NeedsTrainingError: they are not there.
    """
    if network is None:
        raise NeedsTrainingError(f"{editor} has to be trained first: mmke train {editor} --help")
    return network


def network_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the networks among those of a checkpoint."""
    return {name.removeprefix(NETWORK): tensor for name, tensor in tensors.items() if name.startswith(NETWORK)}

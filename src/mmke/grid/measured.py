"""What records, training steps and loading were measured to take, on which device, and by which command.

In: `measured.toml` beside this module. Out: the median of the newest measurements that fit a cell, or nothing. One of
another kind of knowledge or of the other protocol is taken where there is none of the same, and said to be such.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T", "Record", "Step")

FILE = Path(__file__).with_name("measured.toml")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Loading(_Table):
    """Seconds to load a backbone's weights."""

    backbone: str
    seconds: float


class Record(_Table):
    """Seconds of an editor on a record: the edit and all its questions; of the editor "none" the floor."""

    editor: str
    backbone: str
    kind: str
    protocol: str
    seconds: float


class Step(_Table):
    """Seconds of a training step for each record, where the record is new, and where it was seen before."""

    editor: str
    backbone: str
    kind: str
    protocol: str
    new: float
    seen: float


class Bytes(_Table):
    """Bytes of a record in all files of a folder."""

    editor: str
    kind: str
    bytes: int


class CheckpointBytes(_Table):
    """Bytes of the best and the last checkpoint of a training."""

    editor: str
    backbone: str
    bytes: int


class Measurement(_Table):
    """What one command measured."""

    command: str
    device: str
    date: date
    where: str = ""
    records: tuple[Record, ...] = ()
    steps: tuple[Step, ...] = ()
    loading: tuple[Loading, ...] = ()
    bytes: tuple[Bytes, ...] = ()
    checkpoints: tuple[CheckpointBytes, ...] = ()


class Counts(_Table):
    """Records of a benchmark."""

    train: int
    eval: int


class Found(NamedTuple):
    """A figure, where it is from, and what of the cell is another there ("kind", "protocol"); nothing where it fits."""

    value: float
    source: str
    differs: str = ""


class Measured(_Table):
    """All measurements."""

    published: Mapping[str, Counts] = {}
    measured: tuple[Measurement, ...] = ()

    def seconds(self, editor: str, backbone: str, kind: str, protocol: str, *, device: str) -> Found | None:
        """Return seconds of a record."""
        lines = [(each, one) for one in self._on(device) for each in one.records]
        fitting = [(each, one) for each, one in lines if (each.editor, each.backbone) == (editor, backbone)]
        chosen, differs = _nearest(fitting, kind, protocol)
        return _found([each.seconds for each, _ in chosen], [one for _, one in chosen], differs)

    def step(self, editor: str, backbone: str, kind: str, protocol: str, *, device: str) -> tuple[Found, Found] | None:
        """Return seconds of a training step on a new record, and on one that was seen before."""
        lines = [(each, one) for one in self._on(device) for each in one.steps]
        fitting = [(each, one) for each, one in lines if (each.editor, each.backbone) == (editor, backbone)]
        chosen, differs = _nearest(fitting, kind, protocol)
        new = _found([each.new for each, _ in chosen], [one for _, one in chosen], differs)
        seen = _found([each.seen for each, _ in chosen], [one for _, one in chosen], differs)
        return None if new is None or seen is None else (new, seen)

    def load(self, backbone: str, *, device: str) -> Found | None:
        """Return seconds to load a backbone."""
        chosen = [(each, one) for one in self._on(device) for each in one.loading if each.backbone == backbone]
        return _found([each.seconds for each, _ in chosen], [one for _, one in chosen])

    def bytes_of_record(self, editor: str, kind: str) -> Found | None:
        """Return bytes of a record in all files."""
        lines = [(each, one) for one in self.measured for each in one.bytes if each.editor == editor]
        same = [(each, one) for each, one in lines if each.kind == kind]
        chosen, differs = (same, "") if same else (lines, "kind")
        return _found([float(each.bytes) for each, _ in chosen], [one for _, one in chosen], differs)

    def bytes_of_checkpoints(self, editor: str, backbone: str) -> Found | None:
        """Return bytes of a training's checkpoints."""
        lines = [(each, one) for one in self.measured for each in one.checkpoints]
        chosen = [(each, one) for each, one in lines if (each.editor, each.backbone) == (editor, backbone)]
        return _found([float(each.bytes) for each, _ in chosen], [one for _, one in chosen])

    def _on(self, device: str) -> list[Measurement]:
        """Return the measurements on a GPU, or those on a processor."""
        return [each for each in self.measured if each.device.startswith("NVIDIA") == device.startswith("cuda")]


def read(file: Path = FILE) -> Measured:
    """Read the measurements."""
    return Measured.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def kind_of(benchmark: str) -> str:
    """Return the kind of knowledge that a benchmark's name ends with, such as "entity"; of a file its name."""
    return Path(benchmark).stem.partition("@")[0].rpartition("-")[2]


def _nearest(
    lines: Sequence[tuple[T, Measurement]], kind: str, protocol: str
) -> tuple[list[tuple[T, Measurement]], str]:
    """Return the lines of the same kind and protocol, or the nearest that there are, and what differs in them."""
    for differs, fits in (
        ("", lambda each: (each.kind, each.protocol) == (kind, protocol)),
        ("kind", lambda each: each.protocol == protocol),
        ("protocol", lambda each: each.kind == kind),
        ("kind and protocol", lambda _: True),
    ):
        chosen = [line for line in lines if fits(line[0])]
        if chosen:
            return chosen, differs
    return [], ""


def _found(values: Sequence[float], sources: Iterable[Measurement], differs: str = "") -> Found | None:
    measured = list(zip(values, sources, strict=True))
    if not measured:
        return None
    # What was made faster since is measured again, and the older measurements stay in the file.
    newest = max(one.date for _, one in measured)
    measured = [(value, one) for value, one in measured if one.date == newest]
    devices = dict.fromkeys(one.device for _, one in measured)
    return Found(median(value for value, _ in measured), " and ".join(devices), differs)

"""Curves: every record once, in lines of JSON and as TensorBoard reads them; a full disk is told."""

import errno
import json
import struct
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

from mmke import events as event_files
from mmke.errors import UserError
from mmke.training.curves import CURVES, Curves


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / CURVES).read_text().splitlines()]


def events(folder: Path) -> list[Event]:
    """Read event files as their format is documented: length, its checksum, an event, its checksum."""
    found = []
    for file in sorted((folder / "tensorboard").iterdir()):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            found.append(Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
    return found


def test_both_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_files, "FLUSH_SECONDS", 0.0)
    with Curves(tmp_path, records=0) as curves:
        curves.add("train", 2, {"total": 0.5})
        curves.add("validation", 2, {"total": 0.25})
        read = events(tmp_path)  # before it is closed
    shown = [(event.step, event.summary.value[0].tag, event.summary.value[0].simple_value) for event in read[2:]]
    assert shown == [(2, "train/total", 0.5), (2, "validation/total", 0.25)]
    assert read[0].file_version == "brain.Event:2"
    assert [(line["kind"], line["records"], line["total"]) for line in lines(tmp_path)] == [
        ("train", 2, 0.5),
        ("validation", 2, 0.25),
    ]


def test_what_lies_beyond_the_place_where_training_goes_on_is_dropped(tmp_path: Path) -> None:
    with Curves(tmp_path, records=0) as curves:
        for records in (2, 4, 6):
            curves.add("train", records, {"total": 1.0})
    with (tmp_path / CURVES).open("a") as file:
        file.write('{"kind": "train", "rec')  # as a kill leaves it
    with Curves(tmp_path, records=4) as curves:
        curves.add("train", 6, {"total": 2.0})
    assert [(line["records"], line["total"]) for line in lines(tmp_path)] == [(2, 1.0), (4, 1.0), (6, 2.0)]


def test_of_several_processes_one_writes(tmp_path: Path) -> None:
    with Curves(tmp_path / "none", records=0, write=False) as curves:
        curves.add("train", 2, {"total": 1.0})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("what", ["write", "flush"])
def test_a_full_disk_is_told_and_never_waited_for(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(event_files, "FLUSH_SECONDS", 0.0)
    told = pytest.raises(UserError, match=r"cannot be written \(No space left on device\); make room")
    with told, Curves(tmp_path, records=0) as curves:
        monkeypatch.setattr(RecordWriter, what, full)
        for records in range(100):
            curves.add("train", records, {"total": 1.0})
    assert len(lines(tmp_path)) == 1


def test_without_tensorboard_lines_alone_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "mmke.events", raising=False)
    for module in ("tensorboardX", "tensorboardX.proto.event_pb2"):
        monkeypatch.setitem(sys.modules, module, None)
    with Curves(tmp_path, records=0) as curves:
        curves.add("train", 1, {"total": 0.5})
    assert [path.name for path in tmp_path.iterdir()] == ["curves.jsonl"]
    assert json.loads((tmp_path / "curves.jsonl").read_text()) == {"kind": "train", "records": 1, "total": 0.5}

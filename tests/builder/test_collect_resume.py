"""Collecting that is killed, or run again after its source or settings changed, ends as an undisturbed run does."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from own_folder import change, collected, everything, own_folder, save, write_table
from PIL import Image

from mmke.build import log
from mmke.build.project import open_project
from mmke.lines import put

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from mmke.build import log
from mmke.lines import put
from own_folder import collected

left = int(sys.argv[2])

def put_or_die(file, content):
    global left
    left -= 1
    if left == 0:
        put(file, content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    put(file, content)

log.put = put_or_die
collected(Path(sys.argv[1]))
"""


class Killed(BaseException):
    """Nothing catches it, as nothing can catch a kill."""


@contextmanager
def killed_at(line: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process die in the middle of a line."""
    left = line

    def put_or_die(file: BinaryIO, content: bytes) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            put(file, content[: len(content) // 2])
            raise Killed
        put(file, content)

    with monkeypatch.context() as patched:
        patched.setattr(log, "put", put_or_die)
        with pytest.raises(Killed):
            yield


def with_twins(folder: Path) -> Path:
    """Make a project in which pictures and things are refused for others' sakes."""
    own_folder(folder, pictures=2)
    birds = folder / "things" / "bird"
    shutil.copy(birds / "kingfisher" / "0.png", birds / "owl" / "2.png")
    shutil.copy(birds / "kingfisher" / "1.png", birds / "robin" / "1.png")
    (birds / "owl" / "3.png").write_bytes(b"broken")
    return folder


def state(folder: Path) -> tuple[dict[str, object], dict[str, object], dict[str, bytes]]:
    """Return what counts after a run: things, pictures, and the pictures' files."""
    with open_project(folder, write=False) as project:
        things = {entry.id: entry.content for entry in project.things}
        pictures = {entry.id: entry.content for entry in project.pictures}
    return things, pictures, {file.name: file.read_bytes() for file in (folder / "pictures").iterdir()}


@pytest.mark.parametrize("line", [1, 3, 7, 13])
def test_a_run_that_is_killed_in_the_middle_of_a_line_ends_as_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: int
) -> None:
    undisturbed, folder = with_twins(tmp_path / "undisturbed"), with_twins(tmp_path / "killed")
    assert collected(undisturbed).made == 13
    with killed_at(line, monkeypatch):
        collected(folder)
    collected(folder)
    assert everything(folder) == everything(undisturbed)


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_gets_there(tmp_path: Path) -> None:
    undisturbed, folder = with_twins(tmp_path / "undisturbed"), with_twins(tmp_path / "killed")
    collected(undisturbed)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    statuses = []
    for _ in range(10):
        run = subprocess.run(
            [sys.executable, "-c", KILLED_AT, folder, "4"], env={**os.environ, "PYTHONPATH": path}, check=False
        )
        statuses.append(run.returncode)
        if run.returncode != -signal.SIGKILL:
            break
    assert statuses == [-signal.SIGKILL] * 4 + [0]
    assert everything(folder) == everything(undisturbed)


def test_pictures_are_not_read_again_unless_something_about_them_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_twins(tmp_path)
    collected(folder)
    read: list[str] = []
    from mmke.build.collect import measure  # here: what is patched is its own name of the function

    real = measure.prepare
    monkeypatch.setattr(measure, "prepare", lambda content, **how: read.append("x") or real(content, **how))
    collected(folder)
    assert read == []
    save(folder / "things" / "bird" / "owl" / "0.png", Image.new("RGB", (300, 300), "red"))
    collected(folder)
    assert len(read) == 1


def test_after_any_change_a_run_ends_where_a_fresh_one_does(tmp_path: Path) -> None:
    folder = with_twins(tmp_path / "kept")
    birds = folder / "things" / "bird"

    def first_thing_has_the_picture() -> None:
        (birds / "bee-eater" / "2.png").write_bytes((birds / "kingfisher" / "0.png").read_bytes())

    def it_is_gone_again() -> None:
        (birds / "bee-eater" / "2.png").unlink()

    def a_thing_is_gone() -> None:
        shutil.rmtree(birds / "kingfisher")

    def facts_are_others() -> None:
        write_table(folder, "name,type,size,described", "owl,bird,30 cm,1758", "robin,bird,14 cm,1758")

    def smaller_ones_are_taken() -> None:
        save(birds / "robin" / "9.png", Image.radial_gradient("L").resize((120, 120)))
        change(folder, "short_side = 224", "short_side = 100")

    def no_licence_is_allowed_but_one() -> None:
        change(folder, '"own work"]', '"GFDL"]')
        change(folder, 'licence = "own work"', 'licence = "GFDL 1.2"')

    steps = (
        first_thing_has_the_picture,
        it_is_gone_again,
        a_thing_is_gone,
        facts_are_others,
        smaller_ones_are_taken,
        no_licence_is_allowed_but_one,
    )
    collected(folder)
    for step in steps:
        step()
        collected(folder)
        fresh = tmp_path / step.__name__
        fresh.mkdir()
        shutil.copytree(folder / "things", fresh / "things")
        shutil.copy(folder / "build.toml", fresh)
        collected(fresh)
        assert state(folder) == state(fresh), step.__name__


@pytest.mark.parametrize("damage", ["removed", "halved"])
def test_a_file_that_was_lost_or_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    folder = own_folder(tmp_path)
    collected(folder)
    before = everything(folder)
    file = min((folder / "pictures").iterdir())
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100])
    collected(folder)
    assert everything(folder) == before


def test_pictures_that_other_stages_added_stay(tmp_path: Path) -> None:
    folder = own_folder(tmp_path)
    collected(folder)
    with open_project(folder) as project:
        entry = next(iter(project.pictures))
        other = entry.content.model_copy(update={"id": "unrelated.png", "thing": "unrelated/1"})
        project.pictures.put(other.id, other, sources=(), by={"source": "pool"}, inputs="x")
        (project.pictures_folder / "unrelated.png").write_bytes(b"a picture")
    collected(folder)
    with open_project(folder, write=False) as project:
        assert project.pictures.get("unrelated.png") is not None
    assert (folder / "pictures" / "unrelated.png").exists()

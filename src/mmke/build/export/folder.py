"""The exported folder: what an earlier export left there, and how a new one takes its place in one step.

Everything is written into a folder beside, which takes the name when it is whole. A kill before that leaves what was
there; one between the two renames is mended by the next export.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmke.digests import sha256
from mmke.errors import UserError
from mmke.lines import sync_folder

MANIFEST = "manifest.json"
MADE_BY = "mmke build export"


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """Return the manifest of an export; empty where the folder is empty or not there.

    Raises:
        UserError: the folder is none, or holds something that no export wrote.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; --to takes the folder that is to be made")
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if not file.is_dir()}
    if not found:
        return {}
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"] if manifest["made_by"] == MADE_BY else None
    except (OSError, ValueError, KeyError, TypeError):
        files = None
    if files is None:
        raise UserError(f"{folder} holds something that no export wrote ({min(found)}); choose a new folder")
    foreign = found - set(files) - {MANIFEST}
    if foreign:
        raise UserError(
            f"{folder} holds {min(foreign)}, which no export wrote and a new one would remove; move it away, or choose "
            "a new folder"
        )
    changed = [path for path in files if (folder / path).is_file() and sha256(folder / path) != files[path]]
    if changed:
        raise UserError(
            f"{folder}: {changed[0]} was changed since it was exported, and a new export would overwrite it; move it "
            "away, or choose a new folder"
        )
    return dict(manifest)


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write to, which takes the place of `folder` when the block ends without an error.

    Raises:
        UserError: the disk is full, or the place cannot be written to.
    """
    folder = folder.resolve()  # a link stays one, and what it leads to is replaced
    draft, old = (folder.with_name(f".{folder.name}.{what}") for what in ("partial", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent):
            _mend(folder, draft, old)
            draft.mkdir()
            try:
                yield draft
                _swap(folder, draft, old)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{folder} cannot be written ({reason}); what was there before is left as it was") from error


def _mend(folder: Path, draft: Path, old: Path) -> None:
    """Undo what a kill left half done."""
    if old.exists() and not folder.exists():
        old.rename(folder)
    for left in (draft, old):
        if left.exists():
            shutil.rmtree(left)


def _swap(folder: Path, draft: Path, old: Path) -> None:
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _locked(parent: Path) -> Iterator[None]:
    """Wait until no other export writes into the folder; they take seconds."""
    handle = os.open(parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network drives cannot lock a folder
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

"""The sha256 of a file's bytes, computed once a file.

The digest of a large file is kept in the user's cache folder (`$XDG_CACHE_HOME/mmke/digests`, by default
`~/.cache/mmke/digests`) with the file's path, size and time of last change, and is computed again when one of these
differs. Where that folder cannot be written to, the digest is computed each time.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

SMALL = 1 << 20
"""Up to so many bytes a file is read again each time."""
CHUNK = 1 << 22
SETTLED = 2_000_000_000
"""Nanoseconds: a file that changed less than this before it was read may change again within the same time stamp."""

log = logging.getLogger(__name__)


class Stamp(NamedTuple):
    """What tells, without reading a file, that it is the file of before."""

    path: str
    size: int
    changed: int


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be read.
    """
    stamp = _stamp(path)
    if stamp.size <= SMALL:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    kept = _kept(stamp)
    if kept is not None:
        return kept
    digest = hashlib.sha256()
    for chunk in _chunks(path, stamp.size):
        digest.update(chunk)
    found = digest.hexdigest()
    if _stamp(path) == stamp and time.time_ns() - stamp.changed > SETTLED:
        _keep(stamp, found)
    return found


def cache_folder() -> Path | None:
    """Return the folder in which digests are kept; None where the user has no home."""
    stated = os.environ.get("XDG_CACHE_HOME", "")
    if Path(stated).is_absolute():  # the specification says to ignore others
        return Path(stated) / "mmke" / "digests"
    try:
        return Path.home() / ".cache" / "mmke" / "digests"
    except RuntimeError:
        return None


def _stamp(path: Path) -> Stamp:
    whole = path.resolve()
    stat = whole.stat()
    return Stamp(str(whole), stat.st_size, stat.st_mtime_ns)


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    bar = tqdm(total=size, unit="B", unit_scale=True, desc=f"sha256 of {path.name}", disable=None, leave=False)
    with path.open("rb") as file, bar:
        while chunk := file.read(CHUNK):
            bar.update(len(chunk))
            yield chunk


def _entry(stamp: Stamp) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / f"{hashlib.sha256(stamp.path.encode()).hexdigest()[:32]}.json"


def _kept(stamp: Stamp) -> str | None:
    entry = _entry(stamp)
    try:
        plain = {} if entry is None else json.loads(entry.read_bytes())
    except (OSError, ValueError):  # none yet, or another program is just writing it
        return None
    if not isinstance(plain, dict) or plain.get("stamp") != list(stamp):
        return None
    digest = plain.get("sha256")
    return digest if isinstance(digest, str) else None


def _keep(stamp: Stamp, digest: str) -> None:
    entry = _entry(stamp)
    if entry is None:
        return
    draft = entry.with_suffix(f".{os.getpid()}.tmp")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"stamp": stamp, "sha256": digest}))
        draft.replace(entry)
    except OSError as error:
        log.debug("the sha256 of %s is not kept: %s", stamp.path, error)

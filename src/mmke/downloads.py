"""Bringing files to the disk: from the model hub, or from an address. Nothing else in the package reaches a network.

It says how much will come and whether there is room before it starts, and a download that was cut off goes on where it
stopped when the same command is given again. Repositories are taken at the revisions of `pins`, and what arrived is
compared, byte for byte by its digest, with what was offered.
"""

import base64
import hashlib
import logging
import shutil
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.error import HTTPError
from urllib.response import addinfourl

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import OfflineModeIsEnabled
from tqdm import tqdm

from mmke.digests import sha256
from mmke.errors import UserError
from mmke.pins import PINS, Pin

CHUNK = 1 << 20
TIMEOUT = 30
"""Seconds without an answer."""
PARTIAL = 206
"""HTTP's word for a part of a file."""
NO_HEAD = (403, 405, 501)
"""What servers answer that do not tell of a file without sending it."""

log = logging.getLogger(__name__)


class RemoteFile(NamedTuple):
    """A file to be brought, as the other side describes it, as far as it does.

    Attributes:
        to: where it will lie.
        size: in bytes.
        sha256: of its bytes.
        blob: git's own digest, which the hub states of small files.
    """

    to: Path
    size: int | None
    sha256: str | None = None
    blob: str | None = None

    def is_complete(self) -> bool:
        """Tell whether the file lies there with its whole size."""
        return self.to.is_file() and (self.size is None or self.to.stat().st_size == self.size)

    def is_the_same(self) -> bool:
        """Tell whether the file that lies there has the bytes that were promised."""
        if self.sha256 is not None:
            return sha256(self.to) == self.sha256
        if self.blob is not None:
            content = self.to.read_bytes()
            git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
            return git.hexdigest() == self.blob
        return True


class Listing(NamedTuple):
    """What one place offers: its name for messages, its files, and how to download those that are not there yet."""

    name: str
    files: Sequence[RemoteFile]
    bring: Callable[[], object]


def list_repository(
    name: str,
    *,
    kind: Literal["dataset", "model"],
    to: Path,
    choose: Callable[[Sequence[str]], Sequence[str]],
    patterns: Sequence[str] = (),
) -> Listing:
    """Ask the hub for a repository's files.

    Args:
        name: of the repository.
        kind: of repository.
        to: the folder that its files come to.
        choose: which of its paths are wanted.
        patterns: the same as patterns, where that is shorter.

    Raises:
        OSError, HTTPError: the hub cannot be reached.
        UserError: nothing that is wanted is there.
    """
    api, pin = HfApi(), PINS.get(name, Pin())
    info = (api.dataset_info if kind == "dataset" else api.model_info)(name, revision=pin.revision, files_metadata=True)
    offered = {sibling.rfilename: sibling for sibling in info.siblings or []}
    wanted = choose(list(offered))
    if not wanted:
        raise UserError(f"the hub's {kind} {name} has none of the files that mmke takes from it (any more)")
    bring = partial(
        snapshot_download,
        name,
        repo_type=kind,
        # The revision just listed, so that files and sizes belong together.
        revision=info.sha,
        local_dir=to,
        allow_patterns=list(patterns or wanted),
    )
    return Listing(f"{name} at {info.sha}", [_remote(to, offered[path], pin, name) for path in wanted], bring)


def _remote(to: Path, offered: Any, pin: Pin, name: str) -> RemoteFile:
    """Return a file of a repository, with the digest that it has to have.

    Raises:
        UserError: the hub offers another file than the pinned one.
    """
    path = offered.rfilename
    stated, pinned = offered.lfs and offered.lfs.sha256, pin.sha256.get(path)
    if stated and pinned and stated != pinned:
        told = f"the hub's {name} offers another {path} (sha256 {stated}) than the one that was tried ({pinned})"
        if pin.revision is not None:
            raise UserError(f"{told}, at the same revision; it is not downloaded: look at the repository before you do")
        log.warning("%s", told)
    known = pinned if pin.revision is not None else None
    # Git's digest of a large file is that of the pointer to it.
    return RemoteFile(to / path, offered.size, known or stated, None if offered.lfs else offered.blob_id)


def list_web_file(address: str, to: Path) -> Listing:
    """Ask for a file at an address; one that is there already was downloaded whole and is not asked for.

    Raises:
        OSError: the address cannot be reached.
    """
    size, digest = None, None
    if not to.is_file():
        try:
            with _answer(address, method="HEAD") as answer:
                size, digest = _length(answer.headers.get("Content-Length")), _md5(answer.headers)
        except HTTPError as error:
            if error.code not in NO_HEAD:
                raise
    return Listing(address, [RemoteFile(to, size)], partial(_bring, address, to, size, digest))


def read_web_text(address: str, *, accept: str) -> str:
    """Return the text at an address.

    Raises:
        OSError: the address cannot be reached.
    """
    with _answer(address, headers={"Accept": accept}) as answer:
        return answer.read().decode("utf-8", errors="replace")


def download(listings: Sequence[Listing], *, root: Path) -> None:
    """Bring what was listed, having said how much that is.

    Args:
        listings: what is downloaded, one after the other.
        root: a folder on the disk that they come to, made when it is not there.

    Raises:
        OSError, HTTPError: the other side cannot be reached.
        UserError: no room, or files are missing afterwards, or are not what was offered.
    """
    root.mkdir(parents=True, exist_ok=True)
    _announce(listings, root)
    for listing in listings:
        listing.bring()
    wanted = [file for listing in listings for file in listing.files]
    missing = [file for file in wanted if not file.is_complete()]
    if missing:
        # The hub's library hands back a folder that exists, complete or not, when the connection breaks at a bad
        # moment.
        raise UserError(
            f"{len(missing):,} of {len(wanted):,} files did not arrive in {root}, the first "
            f"{str(missing[0].to.relative_to(root))!r}; give the same command again to go on where it stopped"
        )
    damaged = [file for file in wanted if not file.is_the_same()]
    for file in damaged:
        file.to.replace(file.to.with_name(f"{file.to.name}.damaged"))
    if damaged:
        first = str(damaged[0].to.relative_to(root))
        raise UserError(
            f"{len(damaged):,} of {len(wanted):,} files in {root} are not what was offered, by their digests: first "
            f"{first!r}; each is now called ….damaged: give the same command again"
        )


def _announce(listings: Sequence[Listing], root: Path) -> None:
    needed = 0
    for name, files, _ in listings:
        missing = [file for file in files if not file.is_complete()]
        size = sum(file.size or 0 for file in missing)
        needed += size
        count = f"{len(missing):,} of {len(files):,} files"
        log.info("%s: downloading %s, %s, into %s", name, count, _megabytes(size), root)
    free = shutil.disk_usage(root).free
    if needed > free:
        raise UserError(f"{root} has {_megabytes(free)} free and the data need {_megabytes(needed)}; give another --to")


def _bring(address: str, to: Path, size: int | None, digest: str | None) -> None:
    """Download a file beside its place, from where an earlier download stopped, and put it there when it is whole.

    Raises:
        UserError: there is a page in its place, or it was damaged on the way.
    """
    if to.is_file():
        return
    begun = to.with_name(f"{to.name}.incomplete")
    have = begun.stat().st_size if begun.is_file() else 0
    if have > (size or 0):  # of another version, or the size is not known
        begun.unlink()
        have = 0
    if size is None or have < size:
        with _answer(address, begin=have) as answer:
            if answer.headers.get_content_type() == "text/html":
                raise UserError(f"{address} answers with a page and not with the file; download it by hand to {to}")
            # Not every server can begin in the middle.
            mode, have = ("ab", have) if answer.status == PARTIAL else ("wb", 0)
            rest = _length(answer.headers.get("Content-Length"))
            size = size if size is not None or rest is None else have + rest
            with begun.open(mode) as file, _bar(to.name, total=size, initial=have) as bar:
                while chunk := answer.read(CHUNK):
                    bar.update(file.write(chunk))
    if size not in (None, begun.stat().st_size):
        return
    with begun.open("rb") as file:
        if digest is not None and hashlib.file_digest(file, _weak_md5).hexdigest() != digest:
            begun.unlink()
            raise UserError(f"{address} was damaged on the way (its md5) and is removed; give the same command again")
    begun.rename(to)


def _weak_md5() -> Any:
    # All that the storage states; it finds damage, and is no protection.
    return hashlib.md5(usedforsecurity=False)


def _md5(headers: Message) -> str | None:
    """Return the md5 that Google's storage states of a file, in hexadecimal digits."""
    stated = [part.strip() for line in headers.get_all("x-goog-hash") or [] for part in line.split(",")]
    found = next((part.removeprefix("md5=") for part in stated if part.startswith("md5=")), None)
    return None if found is None else base64.b64decode(found).hex()


def _bar(name: str, *, total: int | None, initial: int) -> Any:
    return tqdm(total=total, initial=initial, unit="B", unit_scale=True, desc=name, disable=None)


@contextmanager
def _answer(
    address: str, *, method: str = "GET", begin: int = 0, headers: Mapping[str, str] | None = None
) -> Iterator[HTTPResponse | addinfourl]:
    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled(f"HF_HUB_OFFLINE is set, so {address} is not asked for")
    part = {"Range": f"bytes={begin}-"} if begin else {}
    request = urllib.request.Request(address, method=method, headers={**(headers or {}), **part})  # noqa: S310 - addresses of ours
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            yield answer
    except HTTPException as error:
        raise OSError(f"{address}: {error!r}") from error


def _length(header: str | None) -> int | None:
    return int(header) if header and header.isdigit() else None


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"

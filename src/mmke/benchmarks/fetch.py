"""`mmke fetch`: bring a published data set to the disk.

The only place that reaches a network, and only when it is asked to. A download that was cut off goes on where
it stopped when the same command is given again.
"""

import difflib
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, snapshot_download

# The hub library's own name for the base error of whichever HTTP client it uses; it is no `OSError`.
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]
from huggingface_hub.hf_api import DatasetInfo

from mmke.benchmarks.mmke import HUB_DATASET
from mmke.types import UserError

FOLDERS = ("data_json/", "data_image/")

log = logging.getLogger(__name__)


class RemoteFile(NamedTuple):
    """A file of the data set: its path there, and its size in bytes where the hub tells it."""

    path: str
    size: int | None

    def is_complete(self, to: Path) -> bool:
        """Tell whether the file lies in the folder `to` with its whole size."""
        file = to / self.path
        return file.is_file() and (self.size is None or file.stat().st_size == self.size)


def fetch(name: str, to: Path) -> Path:
    """Bring the data set `name` into the folder `to` and return the folder to give as `--data`.

    Raises:
        UserError: unknown name, no network, no space, or an incomplete download.
    """
    fetchers: Mapping[str, Callable[[Path], Path]] = {"mmke": fetch_mmke}
    if name not in fetchers:
        near = difflib.get_close_matches(name, fetchers, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"nothing to fetch is called {name!r}{guess} (there is: {', '.join(fetchers)})")
    return fetchers[name](to)


def fetch_mmke(to: Path) -> Path:
    """Download MMKE-Bench's annotation files and pictures into `to/data_json` and `to/data_image`.

    Says how much it will take before it starts.

    Raises:
        UserError: the hub cannot be reached, the disk is too small, or files are missing afterwards.
    """
    try:
        info = HfApi().dataset_info(HUB_DATASET, files_metadata=True)
        wanted = _wanted(info)
        _announce([file for file in wanted if not file.is_complete(to)], wanted, to)
        snapshot_download(
            HUB_DATASET,
            repo_type="dataset",
            # The revision just listed, so that files and sizes belong together.
            revision=info.sha,
            local_dir=to,
            allow_patterns=[f"{folder}*" for folder in FOLDERS],
        )
    except (OSError, HTTPError) as error:
        raise UserError(_by_hand(to, error)) from error
    missing = [file for file in wanted if not file.is_complete(to)]
    if missing:
        # The library hands back a folder that exists, complete or not, when the connection breaks at a bad
        # moment.
        raise UserError(
            f"{len(missing):,} of {len(wanted):,} files did not arrive in {to}, the first {missing[0].path!r}; "
            "give the same command again to go on where it stopped"
        )
    log.info("complete: %s; next: mmke check mmke-entity --data %s", to, to)
    return to


def _wanted(info: DatasetInfo) -> list[RemoteFile]:
    found = [RemoteFile(sibling.rfilename, sibling.size) for sibling in info.siblings or []]
    wanted = [file for file in found if file.path.startswith(FOLDERS)]
    if not wanted:
        raise UserError(f"the hub's dataset {HUB_DATASET} has neither {' nor '.join(FOLDERS)} any more")
    return wanted


def _announce(missing: list[RemoteFile], wanted: list[RemoteFile], to: Path) -> None:
    """Say what is about to be downloaded; raise when it cannot fit."""
    needed = sum(file.size or 0 for file in missing)
    to.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(to).free
    log.info(
        "%s: downloading %s of %s files, %s, into %s",
        HUB_DATASET,
        f"{len(missing):,}",
        f"{len(wanted):,}",
        _megabytes(needed),
        to,
    )
    if needed > free:
        raise UserError(f"{to} has {_megabytes(free)} free and the data need {_megabytes(needed)}; give another --to")


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"


def _by_hand(to: Path, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return (
        f"cannot download the hub's dataset {HUB_DATASET}: {reason}\n"
        "If HF_HUB_OFFLINE is set, unset it. Without a network: download the dataset on another machine and copy "
        f"its two folders to {to / 'data_json'} (entity_train.json, entity_eval.json, visual_…, user_…) and "
        f"{to / 'data_image'} (entity/, visual/, user/), then: mmke check mmke-entity --data {to}"
    )

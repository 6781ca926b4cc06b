"""`mmke fetch mmke`: bring the published data set to the disk."""

import logging
from collections.abc import Sequence
from pathlib import Path

# The hub library's own name for the base error of whichever HTTP client it uses; it is no `OSError`.
from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

from mmke.benchmarks.published import HUB_DATASET
from mmke.downloads import download, list_repository
from mmke.errors import UserError

FOLDERS = ("data_json/", "data_image/")

log = logging.getLogger(__name__)


def fetch_mmke(to: Path) -> Path:
    """Download MMKE-Bench's annotation files and pictures into `to/data_json` and `to/data_image`.

    Says how much it will take before it starts.

    Raises:
        UserError: the hub cannot be reached, the disk is too small, or files are missing afterwards.
    """
    patterns = [f"{folder}*" for folder in FOLDERS]
    try:
        found = list_repository(HUB_DATASET, kind="dataset", to=to, choose=_wanted, patterns=patterns)
        download([found], root=to)
    except (OSError, HTTPError) as error:
        raise UserError(_by_hand(to, error)) from error
    log.info("complete: %s; next: mmke check mmke-entity --data %s", to, to)
    return to


def _wanted(paths: Sequence[str]) -> Sequence[str]:
    return [path for path in paths if path.startswith(FOLDERS)]


def _by_hand(to: Path, error: Exception) -> str:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return (
        f"cannot download the hub's dataset {HUB_DATASET}: {reason}\n"
        "If HF_HUB_OFFLINE is set, unset it. Without a network: download the dataset on another machine and copy "
        f"its two folders to {to / 'data_json'} (entity_train.json, entity_eval.json, visual_…, user_…) and "
        f"{to / 'data_image'} (entity/, visual/, user/), then: mmke check mmke-entity --data {to}"
    )

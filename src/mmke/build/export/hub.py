"""Upload an export to the hub as a data set, after saying what would be sent."""

from pathlib import Path
from typing import Any

from mmke.build.export.folder import MANIFEST, read_manifest
from mmke.errors import UserError
from mmke.hub import Parcel, check_repo, send


def push(folder: Path, repo: str, *, yes: bool, private: bool = False, api: Any = None) -> str:
    """Upload a folder that `mmke build export` wrote, and return what was done, or what would be.

    Args:
        folder: a whole export; one that was changed since is refused.
        repo: ORG/NAME on the hub; made where it is not there.
        yes: send it. Without, nothing is sent, and the text says what would be.
        private: make a new data set private.
        api: a `huggingface_hub.HfApi`; None: one with the user's own token.

    Raises:
        UserError: no export, an impossible name, or the hub refused or could not be reached.
    """
    if not read_manifest(folder):
        raise UserError(f"{folder} is no export: it has no {MANIFEST} (mmke build export DIR --to {folder})")
    check_repo(repo)
    # What an earlier version had and this one has not goes away; the hub's own file stays.
    replaced = ("data_json/*", "data_image/**", "provenance/*", "verdicts/*")
    parcel = Parcel(folder, repo, str(folder), "Benchmark made with mmke build", private=private, replaced=replaced)
    return send(parcel, yes=yes, api=api)

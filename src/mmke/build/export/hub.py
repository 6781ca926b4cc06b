"""Upload an export to the hub as a data set, after saying what would be sent."""

from pathlib import Path
from typing import Any

from mmke.build.export.folder import MANIFEST, read_manifest
from mmke.errors import UserError

UNIT = 1_000_000


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
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    if not read_manifest(folder):
        raise UserError(f"{folder} is no export: it has no {MANIFEST} (mmke build export DIR --to {folder})")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"--hub {repo}: {error}") from error
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    size = sum(file.stat().st_size for file in files)
    what = f"{len(files)} files ({size / UNIT:.1f} MB) of {folder} to huggingface.co/datasets/{repo}"
    if private:
        what += " (private)"
    api = api or HfApi()
    missing = _missing(api)
    if missing:
        return f"nothing was sent: {missing}. It would send {what}"
    if not yes:
        return f"it would send {what}; add --yes to send it"
    return _send(api, folder, repo, what, private=private)


def _missing(api: Any) -> str | None:
    """Return what is lacking for an upload, with the way out; None where it can begin."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if not (api.token or get_token()):
        return "there is no token of the hub (hf auth login, or HF_TOKEN)"
    return None


def _send(api: Any, folder: Path, repo: str, what: str, *, private: bool) -> str:
    from huggingface_hub.errors import HfHubHTTPError

    # What the hub's own library for HTTP raises, which is another one in another version: refusals and no connection.
    network: type[Exception] = HfHubHTTPError.__bases__[0]
    try:
        api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Benchmark made with mmke build",
            # What an earlier version had and this one has not; the hub's own file stays.
            delete_patterns=["data_json/*", "data_image/**", "provenance/*", "verdicts/*"],
        )
    except (network, OSError) as error:
        raise UserError(f"--hub {repo}: {' '.join(str(error).split())}; nothing, or not all, was sent") from error
    return f"sent {what}: {done.commit_url}"

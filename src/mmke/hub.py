"""A folder as a data set or a model on the hub: what would be sent is told first, and nothing is sent without a yes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmke.counting import counted
from mmke.errors import UserError

UNIT = 1_000_000


class Parcel(NamedTuple):
    """What is to be sent.

    Attributes:
        folder: all files in it are sent.
        repo: ORG/NAME on the hub; made where it is not there.
        named: how messages call the folder.
        message: of the commit.
        private: make a new repository private.
        replaced: patterns of files that an earlier version may have had, and that go away where this one has them not.
        kind: of the repository.
    """

    folder: Path
    repo: str
    named: str
    message: str
    private: bool = False
    replaced: Sequence[str] = ()
    kind: Literal["dataset", "model"] = "dataset"

    def told(self) -> str:
        """Return how much goes where."""
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files) / UNIT
        place = f"datasets/{self.repo}" if self.kind == "dataset" else self.repo
        where = f"huggingface.co/{place}{' (private)' * self.private}"
        return f"{counted(len(files), 'file')} ({size:.1f} MB) of {self.named} to {where}"


def send(parcel: Parcel, *, yes: bool, ask: Callable[[str], bool] | None = None, api: Any = None) -> str:
    """Send a parcel, and return what was done, or what would be.

    Args:
        parcel: what is sent.
        yes: send it without asking.
        ask: shows what would be sent and asks whether it may be; None: nobody can be asked.
        api: a `huggingface_hub.HfApi`; None: one with the user's own token.

    Raises:
        UserError: an impossible name, or the hub refused or could not be reached.
    """
    from huggingface_hub import HfApi

    check_repo(parcel.repo)
    what = parcel.told()
    api = api or HfApi()
    missing = _missing(api)
    if missing:
        return f"nothing was sent: {missing}. It would send {what}"
    if not yes and ask is None:
        return f"it would send {what}; add --yes to send it"
    if not yes and ask is not None and not ask(f"send {what}"):
        return "nothing was sent"
    return f"sent {what}: {_upload(api, parcel)}"


def check_repo(repo: str) -> None:
    """Refuse what cannot be the name of a repository.

    Raises:
        UserError: the message names the option.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"--hub {repo}: {error}") from error


def _missing(api: Any) -> str | None:
    """Return what is lacking for an upload, with the way out; None where it can begin."""
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if not (api.token or get_token()):
        return "there is no token of the hub (hf auth login, or HF_TOKEN)"
    return None


def _upload(api: Any, parcel: Parcel) -> str:
    from huggingface_hub.errors import HfHubHTTPError

    # What the hub's own library for HTTP raises, which is another one in another version: refusals and no connection.
    network: type[Exception] = HfHubHTTPError.__bases__[0]
    try:
        api.create_repo(parcel.repo, repo_type=parcel.kind, private=parcel.private, exist_ok=True)
        done = api.upload_folder(
            repo_id=parcel.repo,
            repo_type=parcel.kind,
            folder_path=parcel.folder,
            commit_message=parcel.message,
            delete_patterns=list(parcel.replaced) or None,
        )
    except (network, OSError) as error:
        told = " ".join(str(error).split())
        raise UserError(f"--hub {parcel.repo}: {told}; nothing, or not all, was sent") from error
    return str(done.commit_url)

"""Write a session's state into a stream's folder, and load it from there; `results.saved_session` says how it is kept.

In: a session, and what identifies the stream and its step. Out: `session/` with a safetensors file and `session.json`.
"""

from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError

from mmke.editing.tensor_files import read_tensors, write_tensors
from mmke.errors import UserError
from mmke.protocols import EditSession, SessionState
from mmke.results.saved_session import SESSION, Origin, SavedSession, digest_of, file_sha256, unfit, write_facts


def save(folder: Path, session: EditSession, origin: Origin, *, step: int, cases: Sequence[str]) -> None:
    """Save a session, so that a kill at any moment leaves either this state or the one before it complete.

    Args:
        folder: the stream's.
        session: whose state is saved.
        origin: on which model and in which stream.
        step: number of the step after which it is saved.
        cases: ids of the cases that are in the model, in the order of their edits.

    Raises:
        UserError: the state cannot be written; the one before it is kept.
    """
    state = session.state()
    place = folder / SESSION
    try:
        place.mkdir(exist_ok=True)
        file, sha256 = _write_tensors(place, step, state)
        write_facts(folder, SavedSession(origin, step, len(cases), digest_of(list(cases)), file, sha256, state.facts))
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"the session cannot be saved in {place} ({error}); the state before it is kept. Make room or give the "
            "folder the rights it needs, and give the same command again"
        ) from error


def load(folder: Path, session: EditSession, saved: SavedSession) -> None:
    """Load into a session what was saved.

    Args:
        folder: the stream's.
        session: just opened.
        saved: what `read_session` returned.

    Raises:
        UserError: the editor cannot go on from it.
    """
    try:
        tensors = read_tensors(folder / SESSION / saved.tensors)
    except (SafetensorError, OSError) as error:
        raise unfit(folder, f"{saved.tensors} is broken ({error})") from error
    try:
        session.load_state(SessionState(tensors, saved.facts))
    except UserError as error:
        raise unfit(folder, str(error)) from error


def _write_tensors(place: Path, step: int, state: SessionState) -> tuple[str, str]:
    """Write tensors to the disk, and return the name and the sha256 of the complete file."""
    draft = place / "tensors.tmp"
    write_tensors(draft, state.tensors)
    sha256 = file_sha256(draft)
    # With its digest in its name it never takes the place of a file that `session.json` still names.
    name = f"step-{step:06}-{sha256[:16]}.safetensors"
    draft.replace(place / name)
    return name, sha256

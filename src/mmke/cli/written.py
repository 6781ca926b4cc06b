"""Files that a command writes because the user named them."""

from pathlib import Path

from mmke.errors import UserError


def write_out(file: Path, text: str) -> None:
    """Write a text, and the folders around it.

    Raises:
        UserError: it cannot be written there.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {file} ({error.strerror}); choose another --out") from error

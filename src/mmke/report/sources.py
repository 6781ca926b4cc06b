"""Several results folders side by side, each by as much of its path as tells it from the others."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmke.errors import UserError


def named_sources(folders: Sequence[Path]) -> dict[str, Path]:
    """Return folders by names that tell them apart; one that is given twice is there once.

    Raises:
        UserError: a folder is not there.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder; name the --out of a run")
    whole = list(dict.fromkeys(folder.resolve() for folder in folders))
    parent = Path(os.path.commonpath([folder.parent for folder in whole]))
    return {str(folder.relative_to(parent)): folder for folder in whole}

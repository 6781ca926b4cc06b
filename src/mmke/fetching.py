"""`mmke fetch NAME`: what can be fetched, and which part does it."""

import difflib
from pathlib import Path

from mmke.types import UserError

DATA = ("mmke",)
WEIGHTS = ("llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b")
HUB = "hf:"
WEIGHTS_FOLDER = Path("hugging_cache")


def fetch(name: str, to: Path | None) -> Path:
    """Bring data or weights to the disk and return the folder that they are in.

    Args:
        name: of a data set, of a backbone, or `hf:` and a model's name on the hub.
        to: the folder; None: the current one for data, `hugging_cache` for weights.

    Raises:
        UserError: unknown name, no network, no room, or an incomplete download.
    """
    if name in DATA:
        from mmke.benchmarks.fetch import fetch_mmke

        return fetch_mmke(to or Path())
    if name in WEIGHTS or name.startswith(HUB):
        from mmke.backbones.checkpoints.fetch import fetch_weights

        return fetch_weights(name, to or WEIGHTS_FOLDER)
    known = [*DATA, *WEIGHTS]
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    raise UserError(f"nothing to fetch is called {name!r}{guess} (there is: {', '.join(known)}, {HUB}NAME)")

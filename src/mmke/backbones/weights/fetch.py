"""`mmke fetch BACKBONE`: bring a model's weights to the disk, where `mmke run` looks for them.

LLaVA-1.5 and BLIP2-OPT come from the hub as it converted them. MiniGPT-4 was published in parts, which come from
where their authors keep them: Vicuna from the hub, the encoder and the Q-Former from LAVIS's storage, the linear layer
from Google Drive. `hf:NAME` is any model of the hub.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

# The hub library's own name for the base error of whichever HTTP client it uses; it is no `OSError`.
from huggingface_hub.errors import HFValidationError, HTTPError  # type: ignore[attr-defined]

from mmke.backbones.reason import reason
from mmke.backbones.weights import blip2, lavis, llava, minigpt4
from mmke.backbones.weights.checkpoint import Checkpoint
from mmke.backbones.weights.locations import HUB
from mmke.downloads import Listing, download, list_repository, list_web_file
from mmke.errors import UserError

LINEAR_PAGE = "https://drive.google.com/file/d/1RY9jV0dyqLX-o38LrumkKRh6Jtaop58R"
"""Where MiniGPT-4's authors keep its linear layer for Vicuna 7B."""
LINEAR = "https://drive.usercontent.google.com/download?id=1RY9jV0dyqLX-o38LrumkKRh6Jtaop58R&export=download&confirm=t"
"""The file itself."""

log = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """What a backbone takes: files for a folder, how they are found there, and what to do without a network."""

    listings: Callable[[Path], Sequence[Listing]]
    locate: Callable[[Path], Checkpoint]
    by_hand: str


def fetch_weights(name: str, to: Path) -> Path:
    """Download the weights of the backbone `name` into the folder `to`, which is then what `--weights` takes.

    Says how much it will take before it starts.

    Raises:
        UserError: no network, no room, or an incomplete download.
    """
    if name.startswith(HUB):
        return _fetch_hub(name, to)
    wanted = BACKBONES[name]
    _download(name, wanted.listings, to, wanted.by_hand.format(to=to))
    found = wanted.locate(to)
    size = found.bytes / 1e9
    log.info("complete: %.1f GB, %s; next: mmke run --backbone %s --weights %s", size, found.layout, name, to)
    return to


def _fetch_hub(name: str, to: Path) -> Path:
    bare = name.removeprefix(HUB)
    folder = to / bare
    by_hand = f"copy the files of the hub's {bare} to {folder}"
    _download(name, lambda _: [_model(bare, folder)], to, by_hand)
    log.info("complete: %s; next: mmke run --backbone %s --weights %s", folder, name, to)
    return folder


def _download(name: str, listings: Callable[[Path], Sequence[Listing]], to: Path, by_hand: str) -> None:
    try:
        download(listings(to), root=to)
    except (OSError, HTTPError, HFValidationError) as error:
        raise UserError(
            f"cannot download {name}: {reason(error)}\n"
            "What arrived is kept, and the same command goes on. If HF_HUB_OFFLINE is set, unset it. Without a "
            f"network: {by_hand}"
        ) from error


def _model(repository: str, folder: Path) -> Listing:
    return list_repository(repository, kind="model", to=folder, choose=_weights_and_words)


def _weights_and_words(paths: Sequence[str]) -> Sequence[str]:
    """Choose a model's weights in one form, safetensors if there are such, its configuration and its tokenizer."""
    whole = [path for path in paths if "/" not in path and not path.startswith("consolidated")]
    weights = [path for path in whole if path.endswith(".safetensors")]
    kind = ".safetensors" if weights else ".bin"
    other = "pytorch_model.bin.index.json" if weights else "model.safetensors.index.json"
    words = (".json", ".model", ".txt", ".jinja")
    return [path for path in whole if path.endswith((kind, *words)) and path != other]


def _llava(to: Path) -> Sequence[Listing]:
    return [_model(llava.CONVERTED_HUB, to / llava.CONVERTED)]


def _blip2(to: Path) -> Sequence[Listing]:
    return [_model(blip2.CONVERTED_HUB, to / blip2.CONVERTED)]


def _minigpt4(to: Path) -> Sequence[Listing]:
    parts: list[Listing] = [_model(minigpt4.LANGUAGE_HUB, to / minigpt4.LANGUAGE)]
    parts += [list_web_file(lavis.URL + file, to / file) for file in (lavis.EVA, minigpt4.TRAINED)]
    if not any((to / name).is_file() for name in minigpt4.LINEAR):
        parts.append(list_web_file(LINEAR, to / minigpt4.LINEAR[0]))
    return parts


BACKBONES = {
    "llava-1.5-7b": Fetched(
        _llava,
        llava.locate,
        f"copy the files of the hub's {llava.CONVERTED_HUB} to {{to}}/{llava.CONVERTED}",
    ),
    "blip2-opt-2.7b": Fetched(
        _blip2,
        blip2.locate,
        f"copy the files of the hub's {blip2.CONVERTED_HUB} to {{to}}/{blip2.CONVERTED}",
    ),
    "minigpt4-7b": Fetched(
        _minigpt4,
        minigpt4.locate,
        f"copy the files of the hub's {minigpt4.LANGUAGE_HUB} to {{to}}/{minigpt4.LANGUAGE}, "
        f"{lavis.EVA} and {minigpt4.TRAINED} from {lavis.URL} to {{to}}, and MiniGPT-4's "
        f"checkpoint for Vicuna 7B ({LINEAR_PAGE}) to {{to}}/{minigpt4.LINEAR[0]}",
    ),
}

"""Find a backbone's weights: in the folder that the user names, or in `hugging_cache` here and then in the hub's cache.

In: the user's `--weights`, and the names that a model's folders and files may have. Out: paths.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from mmke.backbones.weights.tensor_files import WEIGHTS, read_json
from mmke.errors import UserError

HUB = "hf:"
"""Prefix of a backbone's name that stands for any model of the hub."""
CONFIG = "config.json"
FOLDER = Path("hugging_cache")
"""Where MMKE-Bench's README puts the weights, relative to the current folder."""


@dataclass(frozen=True)
class Locations:
    """Where to look for weights.

    Attributes:
        root: the folder.
        named: whether the user named it; if not, the hub's cache is looked at as well.
    """

    root: Path
    named: bool

    @property
    def is_model(self) -> bool:
        """Whether `root` is the folder of a model, and not one that contains such folders."""
        return (self.root / CONFIG).is_file() or any((self.root / name).is_file() for name in WEIGHTS)

    def folder(self, names: Sequence[str], *, hub: str | None = None) -> Path | None:
        """Return the first folder of these names; if there is none, that of repository `hub` in the hub's cache."""
        found = next((self.root / name for name in names if (self.root / name).is_dir()), None)
        return self.cached(hub) if found is None and hub is not None else found

    def cached(self, hub: str) -> Path | None:
        """Return the folder of a repository in the hub's cache; None if it is not there or the user named a folder."""
        if self.named:
            return None
        try:
            config = try_to_load_from_cache(hub, CONFIG)
        except HFValidationError:
            return None
        return Path(config).parent if isinstance(config, str) else None

    def file(self, names: Sequence[str]) -> Path | None:
        """Return the first file of these names."""
        return next((self.root / name for name in names if (self.root / name).is_file()), None)

    def text(self) -> str:
        """Return the locations in words, for messages."""
        return str(self.root) if self.named else f"{self.root.absolute()} and the hub's cache"


def locations(weights: Path | None) -> Locations:
    """Return where to look for weights.

    Raises:
        UserError: what the user named is no folder.
    """
    if weights is not None and not weights.is_dir():
        what = "is a file; name the folder it lies in" if weights.is_file() else "is not there; name another folder"
        raise UserError(f"--weights {weights} {what}")
    return Locations(FOLDER if weights is None else weights, named=weights is not None)


def check_complete(parts: Mapping[str, Path | None], where: Locations, *, name: str) -> list[Path]:
    """Return the paths of the parts of a model's weights.

    Raises:
        UserError: a part is missing; the message says which, and where it was looked for.
    """
    lacking = [str(where.root / part) for part, path in parts.items() if path is None]
    if lacking:
        raise UserError(
            f"{name} has only a part of its weights in {where.text()}; it lacks {', '.join(lacking)}: "
            f"download them (mmke fetch {name}), or put them there"
        )
    return [path for path in parts.values() if path is not None]


def check_type(folder: Path, kinds: Collection[str], *, name: str) -> None:
    """Check the `model_type` in the configuration of a model folder.

    Raises:
        UserError: it is another, or its configuration cannot be read.
    """
    kind = read_json(folder / CONFIG).get("model_type")
    if kind not in kinds:
        raise UserError(
            f"{folder / CONFIG} is of a {kind!r} model, where {name} is of kind {' or '.join(sorted(kinds))}; "
            f"put {name} there, or name another folder"
        )

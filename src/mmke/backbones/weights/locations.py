"""Where a backbone's weights may lie: a folder that the user names, or `hugging_cache` here, then the hub's cache."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

from mmke.backbones.weights.tensor_files import WEIGHTS, read_json
from mmke.errors import UserError

HUB = "hf:"
"""Before the name of any model of the hub."""
CONFIG = "config.json"
FOLDER = Path("hugging_cache")
"""Where the published list of weights puts them, relative to the current folder."""


@dataclass(frozen=True)
class Places:
    """Where to look: in `root`, and in the hub's cache when the user named no folder."""

    root: Path
    named: bool

    @property
    def is_model(self) -> bool:
        """Whether the folder is itself a model's, rather than one that holds such."""
        return (self.root / CONFIG).is_file() or any((self.root / name).is_file() for name in WEIGHTS)

    def folder(self, names: Sequence[str], *, hub: str | None = None) -> Path | None:
        """Return the first folder of these names, or else what the hub's cache has of the repository `hub`."""
        found = next((self.root / name for name in names if (self.root / name).is_dir()), None)
        return self.cached(hub) if found is None and hub is not None else found

    def cached(self, hub: str) -> Path | None:
        """Return what the hub's cache has of a repository, where that is looked at; a wrong name is in no cache."""
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
        """Return the places in words."""
        return str(self.root) if self.named else f"{self.root.absolute()} and the hub's cache"


def places(weights: Path | None) -> Places:
    """Return where to look for weights.

    Raises:
        UserError: the folder that was named is none.
    """
    if weights is not None and not weights.is_dir():
        what = "is a file; name the folder it lies in" if weights.is_file() else "is not there; name another folder"
        raise UserError(f"--weights {weights} {what}")
    return Places(FOLDER if weights is None else weights, named=weights is not None)


def found_all(parts: Mapping[str, Path | None], where: Places, *, name: str) -> list[Path]:
    """Return where the parts of a model's weights lie.

    Raises:
        UserError: some are not there; the message names them and their places.
    """
    lacking = [str(where.root / part) for part, path in parts.items() if path is None]
    if lacking:
        raise UserError(
            f"{name} has only a part of its weights in {where.text()}; it lacks {', '.join(lacking)}: "
            f"download them (mmke fetch {name}), or put them there"
        )
    return [path for path in parts.values() if path is not None]


def check_type(folder: Path, kinds: Collection[str], *, name: str) -> None:
    """Look whether a model folder is of the right kind, by its configuration.

    Raises:
        UserError: it is not, or its configuration cannot be read.
    """
    kind = read_json(folder / CONFIG).get("model_type")
    if kind not in kinds:
        raise UserError(
            f"{folder / CONFIG} is of a {kind!r} model, where {name} is of kind {' or '.join(sorted(kinds))}; "
            f"put {name} there, or name another folder"
        )

"""Where a model of the library lies on this disk, and what identifies its weights.

Nothing is downloaded here: a name is looked up in folders and in the hub's cache.
"""

import hashlib
from pathlib import Path

from mmke.backbones.checkpoints.places import CONFIG, HUB, places
from mmke.backbones.checkpoints.tensor_files import sampled
from mmke.types import UserError

READ = {".json", ".jinja", ".safetensors", ".bin", ".model", ".txt"}
"""Suffixes of what is read of a folder; notes beside it make no other model."""


def find_folder(name: str, weights: Path | None) -> Path:
    """Return the folder of `hf:NAME_OR_PATH`.

    Args:
        name: with its prefix.
        weights: the folder itself, or one that holds it; None: the path, `hugging_cache`, then the hub's cache.

    Raises:
        UserError: it is in none of these places.
    """
    bare = name.removeprefix(HUB)
    if not bare:
        raise UserError("hf: names no model; give a folder or a name on the hub, such as hf:org/model")
    where = places(weights)
    itself = where.root if where.named else Path(bare).expanduser()
    looked = [itself, where.root / bare.lstrip("/"), where.root / Path(bare).name]
    found = next((folder for folder in looked if (folder / CONFIG).is_file()), None) or where.cached(bare)
    if found is None:
        every = ", ".join(map(str, looked)) + ("" if where.named else " and the hub's cache")
        raise UserError(
            f"{name}: no {CONFIG} in {every}; give the path of a folder with the model (hf:PATH), or fetch it where "
            f"there is a network: mmke fetch {name}"
        )
    return found


def revision(folder: Path) -> str:
    """Return what identifies a model's files: names, sizes, small files whole and large ones by samples."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in READ):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        for piece in sampled(file):
            digest.update(piece)
    return f"sha256 of samples {digest.hexdigest()[:32]}"

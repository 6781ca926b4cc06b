"""Where a model of the library lies on this disk, and what identifies its weights.

Nothing is downloaded here: a name is looked up in folders and in the hub's cache.
"""

import hashlib
import os
from pathlib import Path

from mmke.backbones.weights.locations import CONFIG, HUB, places
from mmke.backbones.weights.tensor_files import check_link, read_json, sampled
from mmke.errors import UserError

SETTINGS = (
    CONFIG,
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
)
"""What the library reads where it is there, and where some is passed over in silence when it is not."""
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
    other = Path(bare).expanduser()
    if where.named and (other / CONFIG).is_file() and not other.samefile(itself):
        raise UserError(f"{name} is a folder with a model, and --weights {weights} another; give one of them")
    looked = list(dict.fromkeys([itself, where.root / bare.lstrip("/"), where.root / Path(bare).name]))
    found = next((folder for folder in looked if os.path.lexists(folder / CONFIG)), None) or where.cached(bare)
    if found is None:
        every = ", ".join(map(str, looked)) + ("" if where.named else " and the hub's cache")
        raise UserError(
            f"{name}: no {CONFIG} in {every}; give the path of a folder with the model (hf:PATH), or fetch it where "
            f"there is a network: mmke fetch {name}"
        )
    return found


def check_files(folder: Path) -> None:
    """Look whether a folder's small files are whole: without a chat template a model is asked in another way.

    Raises:
        UserError: one is empty, no JSON, or a link to nothing.
    """
    for file in sorted(folder.iterdir()):
        if file.suffix in READ:
            check_link(file)
        if file.name in SETTINGS:
            read_json(file)
        elif file.suffix == ".jinja" and not file.stat().st_size:
            raise UserError(f"{file} is empty; download or copy it again")


def revision(folder: Path) -> str:
    """Return what identifies a model's files: names, sizes, small files whole and large ones by samples."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in READ):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        for piece in sampled(file):
            digest.update(piece)
    return f"sha256 of samples {digest.hexdigest()[:32]}"

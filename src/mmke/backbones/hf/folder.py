"""Where a model of the library lies on this disk, and what identifies its weights.

Nothing is downloaded here: a name is looked up in folders and in the hub's cache.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from mmke.types import UserError

PREFIX = "hf:"
CONFIG = "config.json"
CACHE = Path("hugging_cache")
"""Where the published code looks for weights."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
READ = {".json", ".jinja", ".safetensors", ".bin", ".model", ".txt"}
"""Suffixes of what is read of a folder; notes beside it make no other model."""
SAMPLES, SAMPLE = 64, 1 << 16
"""Of a large file, so many pieces of so many bytes tell one version from another."""


def find_folder(name: str, weights: Path | None) -> Path:
    """Return the folder of `hf:NAME_OR_PATH`.

    Args:
        name: with its prefix.
        weights: the folder itself, or one that holds it; None: the path, `hugging_cache`, then the hub's cache.

    Raises:
        UserError: it is in none of these places.
    """
    bare = name.removeprefix(PREFIX)
    if not bare:
        raise UserError("hf: names no model; give a folder or a name on the hub, such as hf:org/model")
    places = list(_places(bare, weights))
    for place in places:
        if (place / CONFIG).is_file():
            return place
    cached = None if weights else _cached(bare)
    if cached is not None:
        return cached
    looked = ", ".join(map(str, places)) + ("" if weights else " and the hub's cache")
    raise UserError(
        f"{name}: no {CONFIG} in {looked}; give the path of a folder with the model (hf:PATH), or fetch it where there "
        f"is a network: mmke fetch {name}"
    )


def check_weights(folder: Path) -> None:
    """Look whether a folder has all files of its weights.

    Raises:
        UserError: it has none, or some are missing.
    """
    for file in WEIGHTS:
        index = folder / f"{file}.index.json"
        if (folder / file).is_file():
            return
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            lost = [shard for shard in shards if not (folder / shard).is_file()]
            if not lost:
                return
            raise UserError(
                f"{folder} lacks {len(lost)} of {len(shards)} files of weights: {', '.join(lost[:3])}; copy them there"
            )
    raise UserError(f"{folder} has no weights ({' or '.join(WEIGHTS)}, or their shards); copy them there")


def revision(folder: Path) -> str:
    """Return what identifies a model's files: names, sizes, small files whole and large ones by samples."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in READ):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        for piece in _samples(file):
            digest.update(piece)
    return f"sha256 of samples {digest.hexdigest()[:32]}"


def _places(bare: str, weights: Path | None) -> Iterator[Path]:
    holders = [CACHE] if weights is None else [weights]
    yield weights if weights is not None else Path(bare).expanduser()
    for holder in holders:
        yield holder / bare.lstrip("/")
        yield holder / Path(bare).name


def _cached(bare: str) -> Path | None:
    try:
        return Path(snapshot_download(bare, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def _samples(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as handle:
        if size <= SAMPLES * SAMPLE:
            yield handle.read()
            return
        for i in range(SAMPLES):
            handle.seek(i * (size - SAMPLE) // (SAMPLES - 1))
            yield handle.read(SAMPLE)

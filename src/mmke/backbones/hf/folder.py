"""Where a model of the library lies on this disk, and what identifies its weights.

Nothing is downloaded here: a name is looked up in folders and in the hub's cache.
"""

import hashlib
import os
from pathlib import Path

from mmke.backbones.weights.locations import CONFIG, HUB, locations
from mmke.backbones.weights.tensor_files import check_link, read_json, weight_files
from mmke.digests import sha256
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
READ = ("*.json", "*.jinja", "*.model", "*.txt", "additional_chat_templates/*.jinja")
"""What is read of a folder besides its weights; notes beside it make no other model."""
ADAPTER = "adapter_config.json"


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
    where = locations(weights)
    itself = where.root if where.named else Path(bare).expanduser()
    other = Path(bare).expanduser()
    if where.named and (other / CONFIG).is_file() and not other.samefile(itself):
        raise UserError(f"{name} is a folder with a model, and --weights {weights} another; give one of them")
    looked = list(dict.fromkeys([itself, where.root / bare.lstrip("/"), where.root / Path(bare).name]))
    found = next((folder for folder in looked if os.path.lexists(folder / CONFIG)), None) or where.cached(bare)
    if found is None:
        adapter = next((folder for folder in looked if (folder / ADAPTER).is_file()), None)
        if adapter is not None:
            raise UserError(
                f"{adapter} holds an adapter ({ADAPTER}) and no model; merge it into its base model first (in peft: "
                "merge_and_unload, then save_pretrained) and give the folder of the whole"
            )
        every = ", ".join(map(str, looked)) + ("" if where.named else " and the hub's cache")
        raise UserError(
            f"{name}: no {CONFIG} in {every}; give the path of a folder with the model (hf:PATH), or fetch it where "
            f"there is a network: mmke fetch {name}"
        )
    return found


def check_files(folder: Path) -> None:
    """Look whether a folder's small files are whole: without a chat template a model is asked in another way.

    Raises:
        UserError: one is empty, no JSON, or a link to nothing; or an adapter lies beside the model.
    """
    if (folder / ADAPTER).is_file():
        raise UserError(
            f"{folder} holds an adapter ({ADAPTER}) beside a model, and which of them is meant is open: remove "
            "it, or merge it into the model (in peft: merge_and_unload, then save_pretrained)"
        )
    for file in sorted(path for pattern in READ for path in folder.glob(pattern)):
        check_link(file)
        if file.name in SETTINGS:
            read_json(file)
        elif file.suffix == ".jinja" and not file.stat().st_size:
            raise UserError(f"{file} is empty; download or copy it again")


def revision(folder: Path) -> str:
    """Return what identifies a model's files: the names and all bytes of what is read of the folder.

    Raises:
        UserError: the folder has no weights, or two sets of them.
    """
    texts = [path for pattern in READ for path in folder.glob(pattern) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path for path in [*texts, *weight_files(folder)]}
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {sha256(files[name])}\n".encode())
    return f"sha256 {digest.hexdigest()[:32]}"

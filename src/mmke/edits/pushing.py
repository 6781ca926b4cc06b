"""What of an edit is sent to the hub: its own files, after they were checked, and a card; nothing else beside them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mmke.counting import counted
from mmke.edits.pictures import finder
from mmke.edits.record import PICTURES, RECORD, TENSORS, EditRecord, broken, read_record
from mmke.edits.telling import shown, summed_up, told
from mmke.hub import Parcel
from mmke.results.saved_session import file_sha256

CARD = "README.md"
MOST_TOLD = 200
"""Edits that the card lists."""
HF = "hf:"


def is_edit(folder: Path) -> bool:
    """Tell whether a folder holds an edit."""
    return (folder / RECORD).is_file()


@contextmanager
def parcel_of_edit(folder: Path, repo: str, *, private: bool) -> Iterator[Parcel]:
    """Give what is to be sent of an edit, which is only read.

    Raises:
        UserError: the edit is broken.
    """
    record = read_record(folder)
    finder(folder, record, None)  # looks at the embedded pictures
    if not (folder / TENSORS).is_file() or file_sha256(folder / TENSORS) != record.tensors:
        raise broken(folder / TENSORS, "it is missing, or another one than the edit states")
    with TemporaryDirectory(prefix="mmke-push-") as name:
        staged = Path(name)
        for place in [RECORD, TENSORS, *(f"{PICTURES}/{picture}" for picture in record.pictures.values())]:
            (staged / place).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / place, staged / place)
        (staged / CARD).write_text(card(folder, record, title=repo.rpartition("/")[2]), encoding="utf-8")
        message = f"{counted(len(record.edits), 'edit')} of mmke"
        yield Parcel(staged, repo, str(folder), message, private=private, kind="model")


def card(folder: Path, record: EditRecord, *, title: str) -> str:
    """Return the card's text.

    Args:
        folder: of the edit.
        record: what it says.
        title: of the page.
    """
    from huggingface_hub import ModelCard, ModelCardData

    base = record.on.backbone.removeprefix(HF)
    on_hub = record.on.backbone.startswith(HF) and base.count("/") == 1 and not base.startswith(("/", "."))
    tags = ["knowledge-editing", "multimodal", "mmke"]
    data = ModelCardData(library_name="mmke", tags=tags, base_model=base if on_hub else None)
    edits = [f"{number}. {_plain(told(edit))}" for number, edit in enumerate(record.edits[:MOST_TOLD], 1)]
    more = [f"\n… and {len(record.edits) - MOST_TOLD} more in `{RECORD}`."] * (len(record.edits) > MOST_TOLD)
    facts = [line.replace("`", "'") for line in summed_up(Path(folder.name), record)]
    parts = [
        f"# {_plain(title)}\n\n{_ABOUT}",
        "## What was edited\n\n" + "\n".join([*edits, *more]),
        "## How\n\n```\n" + "\n".join(facts) + "\n```",
        f"## Use it\n\n{_USE.format(backbone=_plain(shown(record.on.backbone)))}",
    ]
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"))


def _plain(text: str) -> str:
    """Return a text in which Markdown and HTML find nothing to act on."""
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>#|!" else each for each in text)


_ABOUT = """Edits of knowledge in a multimodal model, made with `mmke`. What they say may be false on purpose: do not
train on it or quote it as facts."""

_USE = """Download the folder, and load it on the same weights ({backbone}):

```sh
mmke ask --edit FOLDER "QUESTION" --image FILE
```

Nothing in the folder is executed: it holds JSON, safetensors and pictures. The pictures keep their own licences."""

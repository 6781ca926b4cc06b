"""The pages on editors: the tensors that they name are those that are edited, and as many numbers as they say."""

import re
from pathlib import Path

import pytest
import torch

from mmke.editing import sites
from mmke.editing.settings import resolve
from mmke.editors.mend.network import Networks
from mmke.protocols import Backbone
from mmke.running.loading import load_backbone

DOCS = Path(__file__).parents[2] / "docs" / "editors"
FULL_SIZE = ("llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b")
# The small ones' tokenizer takes seconds to build; of the full-size ones a skeleton needs no weights.
BACKBONES = (*FULL_SIZE, *(pytest.param(name, marks=pytest.mark.slow) for name in ("smol-llava", "smol-minigpt4")))


def row(editor: str, backbone: str) -> tuple[list[str], str, str]:
    """Return the pieces of code, the whole cell of the edited tensors, and that of their numbers."""
    text = (DOCS / f"{editor}.md").read_text(encoding="utf-8").partition("## What is edited")[2]
    cells = next(line.strip("| ").split(" | ") for line in text.splitlines() if f"`{backbone}`" in line)
    return re.findall(r"`([^`]+)`", cells[1]), cells[1], cells[2]


def last_cell(editor: str, backbone: str) -> str:
    """Return the last cell of a row of edited tensors."""
    text = (DOCS / f"{editor}.md").read_text(encoding="utf-8").partition("## What is edited")[2]
    return next(line.strip("| ").rpartition(" | ")[2] for line in text.splitlines() if f"`{backbone}`" in line)


def millions(tensors: list[torch.Tensor]) -> str:
    """Return how many numbers there are, as the pages say it."""
    number = sum(tensor.numel() for tensor in tensors) / 1e6
    return f"{number:.0f} million" if number >= 10 else f"{number:.1f} million"


def tensors(editor: str, backbone: Backbone) -> dict[str, torch.Tensor]:
    """Return what an editor edits by its shipped settings."""
    return sites.tensors(backbone, resolve(editor, backbone.name, {})["sites"])


@pytest.mark.parametrize("name", BACKBONES)
def test_what_the_pages_say_is_edited(name: str) -> None:
    backbone = load_backbone(name, weights="random" if name in FULL_SIZE else None, skeleton=True)

    edited = tensors("ft-llm", backbone)
    (first, second), _, numbers = row("ft-llm", name)
    assert [first, first.removesuffix(first.split(".")[-2] + ".weight") + second.removeprefix("…")] == list(edited)
    assert numbers == millions(list(edited.values()))

    edited = tensors("lora", backbone)
    (first, second), _, numbers = row("lora", name)
    assert [first, first.removesuffix(first.split(".")[-2] + ".weight") + second.removeprefix("…")] == list(edited)
    rank = resolve("lora", name, {})["rank"]
    assert numbers == millions([torch.empty(rank, sum(each.shape), device="meta") for each in edited.values()])

    edited = tensors("ultraedit", backbone)
    (first, second), _, numbers = row("ultraedit", name)
    assert [first, first.partition(".layers.")[0] + ".layers" + second.removeprefix("…")] == list(edited)
    assert numbers == millions(list(edited.values()))

    ((module, matrix),) = sites.tensors(backbone, (resolve("grace", name, {})["site"],)).items()
    (beside,), _, numbers = row("grace", name)
    assert f"{beside}.weight" == module
    assert numbers == f"{sum(matrix.shape):,}"

    edited = tensors("m-ore", backbone)
    (first, last, second, *projector), cell, numbers = row("m-ore", name)
    below, number, part = re.fullmatch(r"(.*\.layers\.)(\d+)\.(\S+)", first).groups()  # type: ignore[union-attr]
    parts = [part, part.removesuffix(part.split(".")[-2] + ".weight") + second.removeprefix("…")]
    layers = [f"{below}{each}.{slot}" for slot in parts for each in range(int(number), int(last) + 1)]
    (lead, *others) = projector
    whole = [lead, *(lead.removesuffix(lead.split(".")[-2] + ".weight") + each.removeprefix("…") for each in others)]
    assert [*layers, *whole] == list(edited)
    rank = resolve("m-ore", name, {})["rank"]
    assert numbers == millions([torch.empty(rank, len(each), device="meta") for each in edited.values()])
    kept = sum(rank * (sum(each.shape) + rank) for each in edited.values())
    assert last_cell("m-ore", name) == f"{4 * kept / 2**20:.0f}"

    ((copied, matrix),) = sites.tensors(backbone, (resolve("wise", name, {})["site"],)).items()
    (beside,), _, numbers = row("wise", name)
    assert beside == copied
    assert numbers == millions([matrix])

    edited = tensors("ft-alignment", backbone)
    _, cell, numbers = row("ft-alignment", name)
    assert cell == f"all {len(edited)} of `{backbone.site('alignment')}`"
    assert numbers == millions(list(edited.values()))

    edited = tensors("mend", backbone)
    (lowest, *layers, leading_out, leading_in), _, numbers = row("mend", name)
    below, _, number = lowest.rpartition(".")
    parts = [f"{below}.{layer}{part}" for layer in (number, *layers) for part in (leading_out, leading_in)]
    assert parts == list(edited)
    settings = resolve("mend", name, {})
    with torch.device("meta"):
        networks = Networks(
            edited, rank=settings["rank"], layers=settings["layers"], step=settings["step"], first_pass=True
        )
    assert numbers == millions(list(networks.parameters()))

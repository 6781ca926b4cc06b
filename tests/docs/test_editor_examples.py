"""The examples by hand on the editors' pages, computed again by the editors' own functions."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mscke_kit import apart, asks, near
from torch import nn

from mmke.backbones.engine.substitution import call_with
from mmke.editing.factors import Factors
from mmke.editors.gated_note.gate import Gate, Said, on_text
from mmke.editors.grace.codebook import Codebook
from mmke.editors.lora.edit import Pair
from mmke.editors.m_ore.gate import gate
from mmke.editors.m_ore.projections import closed
from mmke.editors.m_ore.projections import move as move_of_b
from mmke.editors.ultraedit.edit import move, values
from mmke.editors.ultraedit.normaliser import Normaliser
from mmke.editors.wise.side import Margins, activation, margin_loss, merged, threshold

DOCS = Path(__file__).parents[2] / "docs" / "editors"


def example(editor: str) -> dict[str, Any]:
    """Return the rows of the tables under a page's example: numbers, and tensors where a row has a list."""
    text = (
        (DOCS / f"{editor}.md").read_text(encoding="utf-8").partition("## An example by hand")[2].partition("\n## ")[0]
    )
    rows = {what: json.loads(value) for what, value in re.findall(r"^\| ([^|]+) \| `(.+)` \|$", text, re.MULTILINE)}
    return {
        what: torch.tensor(value, dtype=torch.float32) if isinstance(value, list) else value
        for what, value in rows.items()
    }


def test_lora() -> None:
    page = example("lora")
    linear, fed = nn.Linear(2, 2), page["x"][None]
    edited = call_with(linear, {"weight": Pair(page["A"], page["B"]).update(float(page["alpha / rank"]))}, linear, fed)
    torch.testing.assert_close((edited - linear(fed))[0], page["added to the output"])


def test_ultraedit() -> None:
    page = example("ultraedit")
    rows = page["H"]
    wanted = values(Factors(rows, page["standardised gradients"]), step=1.0)
    torch.testing.assert_close(wanted, page["V"])
    change = move(rows, wanted).product()
    torch.testing.assert_close(change, page["change of the matrix"])
    torch.testing.assert_close(change @ rows[0], page["change of the output at the first row"])


def test_ultraedits_normaliser() -> None:
    page = example("ultraedit")
    normaliser = Normaliser(1, 1)
    seen = page["values so far"][:, None]
    normaliser.observe(Factors(seen, seen))
    assert normaliser.mean.tolist() == [page["mean"]] * 2
    assert round(float(seen.std()), 4) == page["standard deviation"]
    one = torch.ones(1, 1)
    assert round(float(normaliser(Factors(one, one)).inputs), 4) == page["1, standardised"]


def test_m_ore() -> None:
    page = example("m-ore")
    left, out = torch.eye(2), torch.zeros(1, 2)
    for when in ("first", "second"):
        out = out - move_of_b(page["gradient of B"], left, page["step"])
        left = closed(left, page["key"], float(page["lambda"]))
        torch.testing.assert_close(out, page[f"B after the {when} write"])
        if when == "first":
            torch.testing.assert_close(left, page["P after the first write"])
    one, left = torch.ones(1), torch.eye(1)
    for _ in range(1000):
        left = closed(left, one, 2000.0)
    assert round(float(left), 4) == page["share along the key after 1,000 writes, lambda 2,000"]


def test_scope_edits_gate() -> None:
    page = example("m-ore")
    cosine = page["cosine"]
    text = page["length of the text's key"] * torch.tensor([1.0, 0.0])
    image = page["length of the picture's key"] * torch.tensor([cosine, (1 - cosine**2) ** 0.5])
    _, *opened = (round(float(each), 4) for each in gate(text, image))
    assert opened == [
        page[f"gate {where}"] for where in ("of the edit", "in the language model", "on the picture's side")
    ]


def test_grace() -> None:
    page = example("grace")
    first, value = page["key of the first edit"], torch.zeros(1)
    empty = Codebook.empty(first, 1)
    place = empty.place(first, radius=1.0, same=lambda _: False)
    book = empty.written(place, key=first, value=value, edit=0)
    assert book.radii.tolist() == [page["its radius"]]
    assert book.hit(page["a question that is hit"]) == 0
    assert book.hit(page["a question that is not"]) is None
    for key, radii, same in (
        ("key of the second edit", "both radii, if it has another target", False),
        ("key of the second edit", "the only radius, if it has the same target", True),
        ("key of a second edit that is far away", "both radii then", False),
    ):
        found = book.place(page[key], radius=1.0, same=[same].__getitem__).radii
        torch.testing.assert_close(found.float(), page[radii])


def test_mscke() -> None:
    page, there = example("mscke"), "[0.0, 1.0]"
    edit, question = (json.dumps(page[f"text of the {what}"].tolist()) for what in ("edit", "question"))

    def similarity(asked: str, shown: str | None) -> tuple[float, bool]:
        found = near([asks(asked, shown)], [asks(edit, there)])
        return round(float(found.log_similarity.exp()), 4), found.routes() == [0]

    distance = (page["text of the edit"] - page["text of the question"]).square().sum()
    assert float(distance) == pytest.approx(page["squared distance of the texts"], abs=1e-6)
    assert similarity(question, there) == (page["similarity, with the same picture"], True)
    assert similarity(question, None) == (page["similarity, without a picture"], False)
    assert similarity(apart(0.8**2), there) == (page["similarity at a distance of 0.8"], True)
    assert similarity(apart(1.0), there) == (page["similarity at a distance of 1"], False)


def test_wise() -> None:
    page = example("wise")
    moved = activation(page["D"], page["inputs at two tokens"])
    assert float(moved) == page["their activation"]
    margins = Margins(5.0, 20.0, 10.0)
    edit, irrelevant = (
        torch.tensor(float(page[f"activation of {what}"])) for what in ("the edit", "the other question")
    )
    assert float(margin_loss(edit, irrelevant, margins)) == page["loss of the margins"]
    assert threshold(page["activations of two edits"], 0.5) == page["threshold at half of the smallest"]
    torch.testing.assert_close(merged([page["first change"], page["second change"]], 0.5), page["both merged"])


def test_gated_note() -> None:
    page = example("gated-note")
    said = [Said.of("", page["note of the edit"])]
    features = on_text(page["question"], torch.tensor([page["likeness"]]), said)
    torch.testing.assert_close(features[0], page["features of the text gate"], atol=1e-4, rtol=0)
    first, rise = page["far"].tolist()
    gate = Gate(tuple(page["weights"].tolist()), float(page["bias"]), page["near"], (first, rise))
    assert float(gate.scores(features)) == page["score"]
    assert gate.threshold(1) == page["threshold with one edit"]
    assert round(gate.threshold(100), 4) == page["threshold with 100 edits"]
    assert gate.choose(features) == 0
    assert gate.choose(torch.cat([features, *[features - 1] * 99])) is None

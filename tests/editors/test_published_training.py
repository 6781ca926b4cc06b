"""What is shipped for the full-size models is what the published code trains with."""

from collections.abc import Mapping
from typing import Any

import pytest

from mmke import registry
from mmke.editing.settings import resolve
from mmke.protocols import TrainableEditor
from mmke.types import PAPER

MODELS = ("llava-1.5-7b", "minigpt4-7b", "blip2-opt-2.7b")
WEIGHTS = {"edit_weight": 0.1, "image_edit_weight": 0.1, "locality_weight": 1.0}
LOOP = {"steps": 30000, "validate_every": 3000, "patience": 3000, "validation_records": 500, "max_grad_norm": 100.0}
SITES = [f"language.{layer}.{slot}" for layer in (-3, -2, -1) for slot in ("mlp_out", "mlp_in")]
MEND = {
    **WEIGHTS,
    **LOOP,
    "sites": SITES,
    "rank": 1920,
    "layers": 2,
    "step": 1e-4,
    "learning_rate": 1e-6,
    "gradient_accumulation_steps": 2,
}
SERAC = {
    **WEIGHTS,
    **LOOP,
    "gradient_accumulation_steps": 1,
    "head": 0,
    "rank": 0,
    "encoder": "distilbert-base-uncased",
}
KE = {
    "sites": SITES, "lstm": 128, "condition": 1024, "conditioner": 128, "max_scale": 1.0, "learning_rate": 3e-4,
    "multiplier_learning_rate": 0.1, "warm_up": 1000, "margin": 1e-3, "margin_factor": 0.8, "margin_accuracy": 0.9,
    "margin_least": 1e-7, "steps": 20000, "gradient_accumulation_steps": 1, "embedding": "own",
}  # fmt: skip
PUBLISHED: list[tuple[str, str, Mapping[str, Any]]] = [
    *(("mend", model, MEND) for model in MODELS),
    *(("ke", model, KE) for model in MODELS),
    (
        "serac",
        "llava-1.5-7b",
        {**SERAC, "learning_rate": 1e-5, "scope_learning_rate": 1e-5, "layers": 1, "embeddings": "base"},
    ),
    (
        "serac",
        "minigpt4-7b",
        {**SERAC, "learning_rate": 5e-5, "scope_learning_rate": 5e-5, "layers": 1, "embeddings": "own"},
    ),
    ("serac", "blip2-opt-2.7b", {**SERAC, "learning_rate": 1e-5, "scope_learning_rate": 1e-5, "layers": 0}),
]


@pytest.mark.parametrize(("editor", "model", "published"), PUBLISHED, ids=[f"{e}-{m}" for e, m, _ in PUBLISHED])
def test_settings_are_the_published_ones(editor: str, model: str, published: Mapping[str, Any]) -> None:
    shipped = resolve(editor, model, {}, protocol="paper")
    assert {name: shipped[name] for name in published} == dict(published)


@pytest.mark.parametrize(("name", "pace"), [("mend", "epochs"), ("serac", "epochs"), ("ke", "steps")])
def test_each_is_judged_and_paced_as_published(name: str, pace: str) -> None:
    editor = registry.factory("editors", name)(
        resolve(name, "tiny-llava", {}, protocol="paper"), PAPER, train=(), seed=0
    )
    assert isinstance(editor, TrainableEditor)
    assert editor.published_schedule == pace
    if pace == "epochs":
        assert editor.after_validation({"total": 2.5, "edit": 1.0}) == 2.5

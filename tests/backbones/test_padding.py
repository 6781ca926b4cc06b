"""The lent module pays attention as the library's own model does: what is padded is not read."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mmke import api
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.types import Edit, Query

TEXTS = ("What is it?", "Which flag is this one, and where is it flown?")
BACKBONES = ["tiny-llava", "tiny-minigpt4", "tiny-blip2", pytest.param("smol-llava", marks=pytest.mark.slow)]
STEPS = 2
ROUNDING = {"smol-llava": 1e-4}
"""Thirty layers round more than four (1e-5)."""


def padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Return the ids of a left-padded batch, and which of them are no padding."""
    widest = max(map(len, rows))
    ids = [[0] * (widest - len(row)) + row for row in rows]
    return torch.tensor(ids), torch.tensor([[0] * (widest - len(row)) + [1] * len(row) for row in rows])


def written(model: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the tokens that the library's own decoding writes [rows STEPS], and their logits [rows STEPS vocab]."""
    made = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=STEPS,
        min_new_tokens=STEPS,
        do_sample=False,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return made.sequences[:, -STEPS:], torch.stack(made.logits, dim=1)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_left_padded_batch_is_answered_as_each_text_alone(name: str) -> None:
    backbone = api.load_backbone(name)
    assert isinstance(backbone, ComposedBackbone)
    editor = api.load_editor("ft-llm", backbone=name, steps=1)
    rows = [list(backbone.tokens(text)) for text in TEXTS]
    with editor.open(backbone, api.store()) as session:
        session.apply([Edit(Query("What is it?"), "a flag")])
        with session.module() as module:
            model = module if hasattr(module, "lm_head") else module.language_model
            together, logits = written(model, *padded(rows))
            alone = [written(model, *padded([row])) for row in rows]
            backbone.decoder.model.set_attn_implementation("sdpa")
            library = written(model, *padded(rows))[1]
    assert torch.equal(logits, library)
    separate = torch.cat([each for _, each in alone])
    torch.testing.assert_close(logits, separate, rtol=0, atol=ROUNDING.get(name, 1e-5))
    assert torch.equal(together, torch.cat([tokens for tokens, _ in alone]))

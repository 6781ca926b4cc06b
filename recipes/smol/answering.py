"""Put pictures and questions to a small backbone and read its answers, greedily."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol.parts import SmolLlava, SmolMiniGPT4

WRAPPERS = {SmolLlava: ("", ""), SmolMiniGPT4: ("###Human: <Img>", "</Img> ")}
BATCH = 64
ARTICLES = re.compile(r"^(a|an|the)\s+")


def normal(text: str) -> str:
    """Return an answer as it is compared: lower case, no article, no punctuation at its ends, single spaces."""
    return ARTICLES.sub("", " ".join(text.lower().split()).strip(" .,;:!?\"'"))


def prompt_embeddings(
    parts: SmolLlava | SmolMiniGPT4, image: Tensor | None, text_ids: Tensor, tokenizer: PreTrainedTokenizerFast
) -> Tensor:
    """Return the input embeddings of [wrapper, picture, wrapper, text]; without a picture, of the text alone.

    Args:
        parts: a small backbone.
        image: n x tokens x 576, or None for no picture.
        text_ids: n x length.
        tokenizer: for the wrapper around the picture.
    """
    embed = parts.language_model.model.embed_tokens
    text = embed(text_ids)
    if image is None:
        return text
    pieces = [image.to(text.dtype)]
    before, after = WRAPPERS[type(parts)]
    for wrapper, place in ((before, 0), (after, len(pieces))):
        if wrapper:
            ids = tokenizer(wrapper, return_tensors="pt").input_ids.to(text_ids.device)
            pieces.insert(place if place == 0 else len(pieces), embed(ids).expand(len(text), -1, -1))
    return torch.cat([*pieces, text], dim=1)


@torch.no_grad()
def answers(
    parts: SmolLlava | SmolMiniGPT4,
    images: Tensor | None,
    questions: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    limit: int = 16,
) -> list[str]:
    """Return the greedy continuation of each bare question up to a line break, at most `limit` tokens.

    Args:
        parts: a small backbone.
        images: n x tokens x 576, as `image_tokens` returns them, or None to ask without pictures.
        questions: n bare questions.
        tokenizer: its tokenizer.
        limit: tokens per answer.
    """
    device = parts.language_model.device
    ids = [tokenizer(question).input_ids for question in questions]
    found: list[str] = [""] * len(ids)
    stops = torch.tensor([*tokenizer("\n").input_ids, tokenizer.eos_token_id], device=device)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        image = None if images is None else images[torch.tensor(rows, device=images.device)]
        state, seen = _padded(parts, image, [ids[row] for row in rows], tokenizer)
        for row, tokens in zip(rows, _continue(parts, state, seen, limit, stops), strict=True):
            found[row] = tokenizer.decode(tokens, skip_special_tokens=True).split("\n")[0].strip()
    return found


def _padded(
    parts: SmolLlava | SmolMiniGPT4, image: Tensor | None, ids: list[list[int]], tokenizer: PreTrainedTokenizerFast
) -> tuple[Tensor, Tensor]:
    """Return the prompts' embeddings with padding at their left, and which positions are prompt."""
    device = parts.language_model.device
    prompts = [
        prompt_embeddings(
            parts, None if image is None else image[row : row + 1], torch.tensor([text], device=device), tokenizer
        )
        for row, text in enumerate(ids)
    ]
    longest = max(prompt.shape[1] for prompt in prompts)
    state = torch.cat([functional.pad(prompt, (0, 0, longest - prompt.shape[1], 0)) for prompt in prompts])
    seen = torch.tensor(
        [[0] * (longest - prompt.shape[1]) + [1] * prompt.shape[1] for prompt in prompts], device=device
    )
    return state, seen


def _continue(
    parts: SmolLlava | SmolMiniGPT4, state: Tensor, seen: Tensor, limit: int, stops: Tensor
) -> list[list[int]]:
    model, cache, tokens = parts.language_model, None, []
    done = torch.zeros(len(state), dtype=torch.bool, device=state.device)
    for _ in range(limit):
        places = (seen.cumsum(dim=1) - 1).clamp_min(0)[:, -state.shape[1] :]
        out = model(
            inputs_embeds=state,
            attention_mask=seen,
            position_ids=places,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        tokens.append(out.logits[:, -1].argmax(dim=-1))
        done |= torch.isin(tokens[-1], stops)
        if done.all():
            break
        state = model.model.embed_tokens(tokens[-1])[:, None]
        seen = functional.pad(seen, (0, 1), value=1)
    rows: list[list[int]] = torch.stack(tokens, dim=1).tolist()
    return rows

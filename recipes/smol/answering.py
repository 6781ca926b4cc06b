"""Put pictures and questions to a small backbone and read its answers, greedily."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol_parts import SmolLlava, SmolMiniGPT4

WRAPPERS = {SmolLlava: ("", ""), SmolMiniGPT4: ("###Human: <Img>", "</Img> ")}
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
    # questions of one length together: no padding stands between a question and its answer
    for length in sorted({len(question) for question in ids}):
        rows = [row for row, question in enumerate(ids) if len(question) == length]
        text_ids = torch.tensor([ids[row] for row in rows], device=device)
        image = None if images is None else images[torch.tensor(rows, device=images.device)]
        state = prompt_embeddings(parts, image, text_ids, tokenizer)
        for row, tokens in zip(rows, _continue(parts, state, limit), strict=True):
            found[row] = tokenizer.decode(tokens).split("\n")[0].strip()
    return found


def _continue(parts: SmolLlava | SmolMiniGPT4, state: Tensor, limit: int) -> list[list[int]]:
    model, cache, tokens = parts.language_model, None, []
    for _ in range(limit):
        out = model(inputs_embeds=state, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        tokens.append(out.logits[:, -1].argmax(dim=-1))
        state = model.model.embed_tokens(tokens[-1])[:, None]
    rows: list[list[int]] = torch.stack(tokens, dim=1).tolist()
    return rows

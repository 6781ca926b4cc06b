"""Folders of random four-layer models as a hub holds them: config, weights, tokenizer, processor, chat template."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    AddedToken,
    GotOcr2ImageProcessorPil,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLVisionConfig,
    LlamaConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessorPil,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2VLImageProcessorPil,
    SiglipVisionConfig,
)

from mmke.backbones.tiny import BOS, EOS, byte_tokenizer

HIDDEN, LAYERS, SIDE = 32, 4, 28
FIRST_ADDED = 258
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
USER_ASSISTANT = (
    "<|im_start|>{% for message in messages %}{{ message.role | capitalize }}"
    "{% if message.content[0].type == 'image' %}:{% else %}: {% endif %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def save_llava_onevision(folder: Path) -> None:
    """Any-resolution tiles, a newline embedding, SigLIP, a chat template in which text follows the picture's token."""
    tokens = ["<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    tokenizer = make_tokenizer(tokens, image_token="<image>")
    vision = SiglipVisionConfig(**tower(), vision_use_head=False)
    config = LlavaOnevisionConfig(  # type: ignore[call-arg]
        vision_config=vision,
        text_config=qwen2(),
        image_token_id=token_id(tokenizer, "<image>"),
        video_token_id=token_id(tokenizer, "<video>"),
        image_grid_pinpoints=[[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]],
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    processor = LlavaOnevisionImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=config.image_grid_pinpoints,  # type: ignore[arg-type]
    )
    facts = {
        "processor_class": "LlavaOnevisionProcessor",
        "num_image_tokens": 4,
        "vision_feature_select_strategy": "full",
    }
    template = CHATML.replace("IMAGE", "<image>\n")
    save(folder, lambda: LlavaOnevisionForConditionalGeneration(config), tokenizer, processor, facts, template)


def save_qwen2_5_vl(folder: Path) -> None:
    """Positions on three axes, pictures of any size, a merger within the tower, special tokens around the picture."""
    tokens = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = make_tokenizer(tokens)
    vision = {
        "depth": LAYERS,
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": HIDDEN,
        "patch_size": 14,
        "window_size": 56,
        "fullatt_block_indexes": [1, 3],
    }
    text = {**qwen2().to_dict(), "rope_parameters": mrope(), "model_type": "qwen2_5_vl_text"}
    config = Qwen2_5_VLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=token_id(tokenizer, "<|image_pad|>"),
        video_token_id=token_id(tokenizer, "<|video_pad|>"),
        vision_start_token_id=token_id(tokenizer, "<|vision_start|>"),
        vision_end_token_id=token_id(tokenizer, "<|vision_end|>"),
    )
    processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 56 * 56, "longest_edge": 84 * 84}, patch_size=14, merge_size=2
    )
    template = CHATML.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    facts = {"processor_class": "Qwen2_5_VLProcessor"}
    save(folder, lambda: Qwen2_5_VLForConditionalGeneration(config), tokenizer, processor, facts, template)


def save_internvl(folder: Path) -> None:
    """Tiles with a thumbnail, pixel shuffle before the projector, tokens around the picture's."""
    tokens = ["<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
    tokenizer = make_tokenizer(
        tokens,
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    vision = InternVLVisionConfig(**{**tower(), "image_size": [SIDE, SIDE], "patch_size": [14, 14]})
    config = InternVLConfig(
        vision_config=vision, text_config=qwen2(), image_token_id=token_id(tokenizer, "<IMG_CONTEXT>")
    )
    processor = GotOcr2ImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    facts = {"processor_class": "InternVLProcessor", "image_seq_length": 1}
    template = CHATML.replace("IMAGE", "<IMG_CONTEXT>\n")
    save(folder, lambda: InternVLForConditionalGeneration(config), tokenizer, processor, facts, template)


def save_idefics3(folder: Path) -> None:
    """Tiles that are named by row and column, a connector, Llama, and a template that ends without a newline."""
    names = [f"<row_{row}_col_{column}>" for row in (1, 2, 3) for column in (1, 2, 3)]
    tokens = [
        "<|im_start|>",
        "<|im_end|>",
        "<end_of_utterance>",
        "<fake_token_around_image>",
        "<image>",
        "<global-img>",
        *names,
    ]
    tokenizer = make_tokenizer(tokens)
    config = Idefics3Config(  # type: ignore[call-arg]
        vision_config={**tower(), "model_type": "idefics3_vision"},
        text_config=llama(),
        image_token_id=token_id(tokenizer, "<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    processor = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=True
    )
    facts = {"processor_class": "Idefics3Processor", "image_seq_len": 1}
    save(folder, lambda: Idefics3ForConditionalGeneration(config), tokenizer, processor, facts, USER_ASSISTANT)


FOLDERS: Mapping[str, Callable[[Path], None]] = {
    "llava-onevision": save_llava_onevision,
    "qwen2.5-vl": save_qwen2_5_vl,
    "internvl": save_internvl,
    "idefics3": save_idefics3,
}


def save(
    folder: Path,
    build: Callable[[], Any],
    tokenizer: PreTrainedTokenizerFast,
    processor: Any,
    facts: Mapping[str, Any],
    template: str | None,
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build()
        spread(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps(facts))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)


def spread(model: nn.Module) -> None:
    """Widen the image side's weights: with the library's 0.02 one picture would look like another."""
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "language" not in name and "text_model" not in name and "lm_head" not in name:
            nn.init.normal_(parameter, std=0.3)


def make_tokenizer(tokens: list[str], *, begins: bool = False, **named: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes with further special tokens; `begins`: it puts <s> in front by itself."""
    core = byte_tokenizer().backend_tokenizer
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    if begins:
        core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="<|im_end|>", **named)  # type: ignore[no-untyped-call]


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    number = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(number, int)
    assert number >= FIRST_ADDED
    return number


def tower() -> dict[str, Any]:
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 14,
    }


def text() -> dict[str, Any]:
    return {
        "vocab_size": 288,
        "hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        # With the library's 0.02 hardly anything would depend on where a token stands.
        "initializer_range": 0.1,
    }


def qwen2() -> Qwen2Config:
    return Qwen2Config(**text())


def llama() -> LlamaConfig:
    return LlamaConfig(**text())


def mrope() -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}

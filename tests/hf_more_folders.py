"""Folders of random models for single tests: other prompts, another form of layer, and models that must be refused."""

from pathlib import Path
from typing import Any

from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3ImageProcessorPil,
    Gemma3TextConfig,
    Glm4vConfig,
    Glm4vForConditionalGeneration,
    Glm4vImageProcessorPil,
    Idefics3ImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    OPTConfig,
    Qwen2VLImageProcessorPil,
    Qwen3Config,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from mmke.testing.folders import (
    CHATML,
    HIDDEN,
    LAYERS,
    SIDE,
    USER_ASSISTANT,
    llama,
    make_tokenizer,
    mrope,
    save,
    text,
    token_id,
    tower,
)

VICUNA = (
    "{% for message in messages %}{{ message.role | upper }}: {% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def save_llava(folder: Path, template: str | None = VICUNA) -> None:
    """A template without special tokens, behind a beginning of sequence that the tokenizer adds."""
    tokens = make_tokenizer(["<image>", "<|im_end|>"], begins=True, image_token="<image>")
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**tower()), text_config=llama(), image_token_index=token_id(tokens, "<image>")
    )
    pictures = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    facts = {
        "processor_class": "LlavaProcessor",
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    save(folder, lambda: LlavaForConditionalGeneration(config), tokens, pictures, facts, template)


def save_bare_llava(folder: Path) -> None:
    """No template at all."""
    save_llava(folder, None)


def save_glm4v(folder: Path) -> None:
    """Norms behind attention and MLP, and gate and value in one linear: no MLP form that is known."""
    around = ["<|begin_of_image|>", "<|image|>", "<|end_of_image|>"]
    tokens = make_tokenizer(["<|im_start|>", "<|im_end|>", *around, "<|video|>"])
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}
    config = Glm4vConfig(
        vision_config={**_grid_tower(), "image_size": 2 * SIDE},
        text_config={**text(), "rope_parameters": rope, "pad_token_id": 0},
        image_token_id=token_id(tokens, "<|image|>"),
        video_token_id=token_id(tokens, "<|video|>"),
        image_start_token_id=token_id(tokens, "<|begin_of_image|>"),
        image_end_token_id=token_id(tokens, "<|end_of_image|>"),
    )
    pictures = Glm4vImageProcessorPil(size=_grid_size(), patch_size=14, merge_size=2)
    facts = {"processor_class": "Glm4vProcessor"}
    save(
        folder,
        lambda: Glm4vForConditionalGeneration(config),
        tokens,
        pictures,
        facts,
        CHATML.replace("IMAGE", "".join(around)),
    )


def save_gemma3(folder: Path) -> None:
    """The positions of a picture see each other both ways."""
    names = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokens = make_tokenizer([*names.values(), "<|im_start|>", "<|im_end|>"], **names)
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**tower(), vision_use_head=False),
        text_config=Gemma3TextConfig(**text(), head_dim=16, layer_types=["full_attention"] * LAYERS),
        mm_tokens_per_image=4,
        boi_token_index=token_id(tokens, "<start_of_image>"),
        eoi_token_index=token_id(tokens, "<end_of_image>"),
        image_token_index=token_id(tokens, "<image_soft_token>"),
    )
    pictures = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    facts = {"processor_class": "Gemma3Processor", "image_seq_length": 4}
    template = CHATML.replace("IMAGE", "<start_of_image>")
    save(folder, lambda: Gemma3ForConditionalGeneration(config), tokens, pictures, facts, template)


def save_qwen3_vl(folder: Path) -> None:
    """Features of the picture enter at several decoder layers."""
    around = ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>"]
    tokens = make_tokenizer(["<|im_start|>", "<|im_end|>", *around, "<|video_pad|>"])
    rope = {**mrope(), "mrope_interleaved": True}
    config = Qwen3VLConfig(
        vision_config={**_grid_tower(), "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 16},
        text_config={**Qwen3Config(**text(), head_dim=16).to_dict(), "rope_parameters": rope},
        image_token_id=token_id(tokens, "<|image_pad|>"),
        video_token_id=token_id(tokens, "<|video_pad|>"),
        vision_start_token_id=token_id(tokens, "<|vision_start|>"),
        vision_end_token_id=token_id(tokens, "<|vision_end|>"),
    )
    pictures = Qwen2VLImageProcessorPil(size=_grid_size(), patch_size=14, merge_size=2)
    facts = {"processor_class": "Qwen3VLProcessor"}
    template = CHATML.replace("IMAGE", "".join(around))
    save(folder, lambda: Qwen3VLForConditionalGeneration(config), tokens, pictures, facts, template)


def save_blip2(folder: Path) -> None:
    """A Q-Former: as many positions as it has query tokens, which the processor's file alone states."""
    tokens = make_tokenizer(["<image>", "<|im_end|>"], begins=True)
    width = {"hidden_size": HIDDEN, "intermediate_size": 64, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
    language = OPTConfig(
        vocab_size=288,
        hidden_size=HIDDEN,
        word_embed_proj_dim=HIDDEN,
        ffn_dim=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        max_position_embeddings=512,
        pad_token_id=1,
    )
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**width, image_size=SIDE, patch_size=14),
        qformer_config=Blip2QFormerConfig(**width, vocab_size=288, encoder_hidden_size=HIDDEN),
        text_config=language,
        num_query_tokens=3,
        image_token_index=token_id(tokens, "<image>"),
    )
    pictures = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    facts = {"processor_class": "Blip2Processor", "num_query_tokens": 3}
    save(folder, lambda: _with_queries(Blip2ForConditionalGeneration(config)), tokens, pictures, facts, None)


def save_smolvlm(folder: Path) -> None:
    """A processor whose chat template asks its part for videos."""
    names = [f"<row_{row}_col_{column}>" for row in (1, 2, 3) for column in (1, 2, 3)]
    around = ["<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"]
    tokens = make_tokenizer(["<|im_start|>", "<|im_end|>", *around, *names])
    config = SmolVLMConfig(
        vision_config={**tower(), "model_type": "smolvlm_vision"},
        text_config=llama(),
        image_token_id=token_id(tokens, "<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    pictures = Idefics3ImageProcessorPil(
        size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=True
    )
    facts = {"processor_class": "SmolVLMProcessor", "image_seq_len": 1}
    save(folder, lambda: SmolVLMForConditionalGeneration(config), tokens, pictures, facts, USER_ASSISTANT)


def _with_queries(model: Any) -> Any:
    nn.init.normal_(model.query_tokens)  # the library leaves them at zero
    return model


def _grid_tower() -> dict[str, Any]:
    return {
        "depth": LAYERS,
        "hidden_size": HIDDEN,
        "out_hidden_size": HIDDEN,
        "intermediate_size": 64,
        "num_heads": 2,
        "patch_size": 14,
    }


def _grid_size() -> dict[str, int]:
    return {"shortest_edge": 56 * 56, "longest_edge": 84 * 84}

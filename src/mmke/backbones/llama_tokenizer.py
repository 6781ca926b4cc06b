"""LLaMA's tokenizer, with the token ids of the published one.

In: a folder with `tokenizer.model` (SentencePiece, of the published models) or `tokenizer.json` (of converted ones).
Out: a tokenizer of the library, with offsets. The library's own class for LLaMA is not used: for the first file it
needs two further packages, and for both it drops a space at the beginning of a text, which SentencePiece keeps as a
token. Tokens that a conversion has added after the vocabulary are left out: the models have no embeddings for them.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from mmke.errors import UserError

SPACE = "▁"
SPECIAL = ("<unk>", "<s>", "</s>")
BPE = 2
"""SentencePiece's number for models of byte pairs."""


def read(folder: Path) -> Any:
    """Return the tokenizer of a folder.

    Raises:
        UserError: it has no tokenizer, or one that is not LLaMA's.
    """
    converted, published = folder / "tokenizer.json", folder / "tokenizer.model"
    if converted.is_file():
        pieces, merges = _read_converted(converted)
    elif published.is_file():
        pieces, merges = _read_published(published)
    else:
        raise UserError(
            f"{folder} holds no tokenizer; it lacks tokenizer.model, or tokenizer.json in a converted model"
        )
    if tuple(sorted(pieces, key=pieces.__getitem__)[:3]) != SPECIAL:
        raise UserError(f"{folder}: its tokenizer is not LLaMA's, which begins with {', '.join(SPECIAL)}")
    return _build(pieces, merges)


def _build(pieces: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> Any:
    core = Tokenizer(models.BPE(dict(pieces), list(merges), unk_token=SPECIAL[0], fuse_unk=True, byte_fallback=True))
    # Every space is kept, and one is put before the text.
    core.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    core.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    unknown, begin, end = SPECIAL
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core, unk_token=unknown, bos_token=begin, eos_token=end
    )


def _read_converted(file: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    try:
        model = json.loads(file.read_text(encoding="utf-8"))["model"]
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        return dict(model["vocab"]), [(left, right) for left, right in pairs]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is no tokenizer of LLaMA's kind ({error!r}); download it again") from error


def _read_published(file: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    scores, kind = {}, None
    try:
        for number, value in _fields(file.read_bytes()):
            if number == 1:
                piece = dict(_fields(value))
                scores[piece[1].decode()] = struct.unpack("<f", piece[2])[0] if 2 in piece else 0.0
            if number == 2:
                kind = dict(_fields(value)).get(3)
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise UserError(f"{file} is no SentencePiece model ({error!r}); download it again") from error
    if kind != BPE:
        raise UserError(f"{file} is no SentencePiece model of byte pairs, as LLaMA's is; download it again")
    return {piece: number for number, piece in enumerate(scores)}, _merges(scores)


def _merges(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return every pair of pieces that makes a piece, in SentencePiece's order: by the score of the whole piece."""
    order = {piece: number for number, piece in enumerate(scores)}
    pairs = [
        (-score, order[piece[:cut]], order[piece[cut:]])
        for piece, score in scores.items()
        for cut in range(1, len(piece))
        if piece[:cut] in order and piece[cut:] in order
    ]
    names = list(order)
    return [(names[left], names[right]) for _, left, right in sorted(pairs)]


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a protocol buffer, each with its number: integers as int, everything else as bytes."""
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        size = {1: 8, 5: 4}.get(tag & 7)
        if tag & 7 == 0:
            value, at = _number(data, at)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            size, at = _number(data, at)
        if size is None or at + size > len(data):
            raise ValueError(f"broken at byte {at}")
        yield tag >> 3, data[at : at + size]
        at += size


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer of variable length that begins at a byte, and the byte after it."""
    value, shift = 0, 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1

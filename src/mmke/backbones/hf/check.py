"""Whether a model, taken apart, is still the model: its own forward pass against ours, on one small picture.

Two questions about the picture share a pack and a text stands alone, everything from the first layer on is computed by
the cut model. A model that mixes positions in another way than causal attention (both ways within a picture, a running
state, features that enter at several layers) is found here, before it yields a figure.
"""

import hashlib
import inspect
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.hf.processor import process, unstated
from mmke.backbones.hf.prompt import Template
from mmke.backbones.hf.rendering import QUESTION
from mmke.errors import CannotAskError, UserError
from mmke.protocols import Cut
from mmke.types import Ask, ImageRef, Query

ASKED = (("What is this?", "A picture.", True), ("What colour is it?", "Red.", True), ("Who are you?", "I.", False))
"""Question, answer, whether it is asked about the picture."""
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.5}
"""How far rounding may bring a log-probability (nats) from the model's own; in half precision the best token's."""


@contextmanager
def small_picture() -> Iterator[ImageRef]:
    """Lend a picture's file that is neither square nor of one colour."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.png"
        picture = Image.linear_gradient("L").resize((48, 32))
        Image.merge("RGB", (picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), picture)).save(path)
        yield ImageRef(path, hashlib.sha256(path.read_bytes()).hexdigest())


def asked(model: Any) -> list[tuple[str, str, bool]]:
    """Return the prompts that the model by itself can read: some read none without a picture."""
    pixels = inspect.signature(model.forward).parameters.get("pixel_values")
    bare = pixels is None or pixels.default is not inspect.Parameter.empty
    return [prompt for prompt in ASKED if bare or prompt[2]]


@torch.no_grad()
def own_logits(
    model: Any, template: Template, image: ImageRef, prompts: Sequence[tuple[str, str, bool]]
) -> list[Tensor]:
    """Return the logits [positions vocabulary] of each prompt, as the model by itself computes them."""
    between = template.between()
    found = []
    for question, answer, pictured in prompts:
        before = template.render(QUESTION, pictured=pictured).partition(QUESTION)[0]
        with Image.open(image.path) as picture:
            made = process(template.processor, f"{before}{question}{between}{answer}", picture if pictured else None)
        found.append(model(**_brought(made, model)).logits[0])
    return found


def check_prompt(model: Any, template: Template, folder: Path) -> None:
    """Look, before weights are read, whether tokenizer, picture processing and chat template are this model's.

    Raises:
        UserError: they make no position of a picture, or ids that the model does not have; or they take no question
            without a picture.
    """
    pictured, bare = (template.render(QUESTION, pictured=each) for each in (True, False))
    try:
        ids = process(template.processor, pictured, Image.new("RGB", (48, 32)))["input_ids"]
    except CannotAskError as error:
        advice = (
            "" if unstated(template.processor) else "; tokenizer, processor and chat template have to be of one model"
        )
        raise UserError(f"{folder}: {error}{advice}") from error
    rows = len(model.get_input_embeddings().weight)
    words = ids[ids != template.image_token]
    if len(words) == ids.numel():
        wrong = f"they make no position of a picture, which is the id {template.image_token} in config.json"
    elif int(words.max()) >= rows:
        wrong = f"they make the id {int(words.max())}, and the model has {rows}"
    else:
        wrong = ""
    if wrong:
        raise UserError(f"{folder}: its tokenizer and processor are not this model's: {wrong}; copy them all anew")
    try:
        process(template.processor, bare, None)
    except CannotAskError as error:
        raise UserError(
            f"{folder}: mmke asks some questions without a picture, and {error}; take another model"
        ) from error


@torch.no_grad()
def check(backbone: ComposedBackbone, own: Sequence[Tensor], image: ImageRef) -> None:
    """Compare a model taken apart with its own logits.

    Raises:
        UserError: they differ by more than rounding.
    """
    if any(each.isnan().any() for each in own):
        half = backbone.dtype != torch.float32
        raise UserError(
            f"{backbone.name}: the model itself computes what is no number; its weights are damaged: copy them anew"
            + (f", or too large for {backbone.dtype}: take --dtype float32" if half else "")
        )
    prompts = asked(backbone.module)
    queries = [Query(question, image if pictured else None) for question, _, pictured in prompts]
    batch = backbone.encode(queries, [answer for _, answer, _ in prompts], Ask(positions="all"))
    ours = backbone.tail(backbone.trunk(batch, Cut("layer", 0), store=MemoryStore()), {})
    pieces = torch.split(ours, [len(each.rows) for each in batch.encoded])
    if [len(piece) for piece in pieces] != [len(each) for each in own]:
        raise UserError(
            f"{backbone.name}: the model's processor makes other tokens of a whole prompt than of its parts"
        )
    strayed = float(torch.stack([_distance(piece, each) for piece, each in zip(pieces, own, strict=True)]).max())
    limit = TOLERANCE.get(backbone.dtype, TOLERANCE[torch.bfloat16])
    if not strayed <= limit:  # so that "no number" is too far as well
        raise UserError(
            f"{backbone.name}: taken apart, the model strays from itself by {strayed:.2g} nats, and rounding explains "
            f"{limit:g}; it mixes positions in a way that mmke does not know, and its figures would be wrong"
        )


def _distance(ours: Tensor, own: Tensor) -> Tensor:
    apart = (ours.float().log_softmax(-1) - own.float().log_softmax(-1)).abs()
    if own.dtype == torch.float32:
        return apart.max()
    return apart.gather(1, own.argmax(-1, keepdim=True)).max()


def _brought(made: Any, model: Any) -> dict[str, Any]:
    """Return a model's inputs on its device, floats in its precision."""
    return {
        name: value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
        for name, value in made.items()
    }

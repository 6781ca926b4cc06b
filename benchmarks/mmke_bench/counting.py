"""The bound of a speed ratio: the operations of the plain loop over those that the work needs.

Operations are multiply-adds of matrix products, convolutions and attention; what is done element by element is not
counted. The language model's are taken from its shapes, those of the image side from PyTorch's own counter.

* A forward pass over a sequence takes every linear layer at every position, attention once for each pair of a position
  and one that it sees, and in the plain loop the head at every position.
* A gradient takes as much again for each layer that it crosses (twice as much for attention) and for each weight
  whose gradient is taken.
* What the work needs: each distinct picture through the encoder once; each distinct prefix of the asked sequences
  through the unedited layers once (so every node of the trie of all queries), up to the last row that is wanted; the
  edited layers, the layers above them and the head on wanted rows alone where positions no longer mix.

The choice of demonstrations is left out on both sides. A step that trains adapters beside matrices (LoRA) is counted as
one that trains the matrices, on both sides, so that its bound is a little too low.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.protocols import OUTPUT, VISION, Cut
from mmke_bench.plain import Forward


@dataclass(frozen=True)
class Shapes:
    """Multiply-adds of a backbone's parts.

    Attributes:
        vision: one picture through the encoder.
        align: one picture through the projector or Q-Former.
        align_gradient: the gradient of all its tensors.
        layers: one position through the linears of all decoder layers.
        mlp: one position through the last layer's MLP.
        mlp_gradient: the gradients of its two edited matrices, at one position.
        pair: attention of one position to another, in all layers.
        head: one position through the head.
        depth: decoder layers.
        mlp_in: one position through the linear that leads into the last layer's MLP and can be edited.
        mlp_out: likewise, out of it.
    """

    vision: int
    align: int
    align_gradient: int
    layers: int
    mlp: int
    mlp_gradient: int
    pair: int
    head: int
    depth: int = 1
    mlp_in: int = 0
    mlp_out: int = 0


def shapes(backbone: ComposedBackbone) -> Shapes:
    """Measure a backbone."""
    pixels = backbone.vision.pixels(Image.new("RGB", (224, 224))).to(backbone.device)
    with torch.no_grad():
        features = [backbone.vision.encode(pixels)]
    last = backbone.decoder.layers[-1]
    into, out = (_weight(backbone, slot).numel() for slot in ("mlp_in", "mlp_out"))
    mixing = sum(w.numel() for name, w in _matrices(last) if "att" in name)  # self_attn, attn, attention
    align = _count(lambda: backbone.vision.align(features))
    return Shapes(
        vision=_count(lambda: backbone.vision.encode(pixels)),
        align=align,
        align_gradient=_count_gradient(backbone, features) - align,
        layers=sum(w.numel() for _, w in _matrices(backbone.decoder.layers)),
        mlp=sum(w.numel() for _, w in _matrices(last)) - mixing,
        # both matrices' own gradients, and the way through the upper one down to the lower
        mlp_gradient=into + 2 * out,
        pair=2 * backbone.decoder.config.hidden_size * backbone.layers,
        head=backbone.decoder.head.get_parameter("weight").numel(),
        depth=backbone.layers,
        mlp_in=into,
        mlp_out=out,
    )


class Count(NamedTuple):
    """Multiply-adds that the plain loop took, and those that the work needs."""

    plain: int
    needed: int


def count(log: Sequence[Forward], shape: Shapes, cut: Cut) -> Count:
    """Count the plain loop's passes."""
    return Count(plain_operations(log, shape, cut), needed_operations(log, shape, cut))


def is_counted(cut: Cut, layers: int) -> bool:
    """Tell whether operations are known for an editor of this cut; of the decoder only the last layer's MLP is."""
    return cut in (VISION, OUTPUT) or (cut.place == "mlp" and cut.layer in (-1, layers - 1))


def plain_operations(log: Sequence[Forward], shape: Shapes, cut: Cut) -> int:
    """Return what the plain loop's forward passes and gradients took."""
    return sum(_plain(forward, shape, cut) for forward in log)


def needed_operations(log: Sequence[Forward], shape: Shapes, cut: Cut) -> int:
    """Return what it would take to compute the same logits with nothing done twice."""
    steps = [forward for forward in log if forward.step]
    answers = [forward for forward in log if not forward.step]
    pictures = {forward.image for forward in log} - {None}
    seen = len(pictures) * shape.vision
    if cut.place == "mlp":
        below = trie([*steps, *answers], layers=shape.layers - shape.mlp, pair=shape.pair)
        answered = rows(answers) * (shape.mlp + shape.head)
        trained = sum(len(each.encoded.rows) for each in steps) * (
            shape.mlp + shape.mlp_gradient + 2 * shape.head  # the head forwards, and backwards to its input
        )
        return seen + len(pictures) * shape.align + below + answered + trained
    kinds = [[f for f in answers if f.edited == edited] for edited in (False, True)]
    asked = sum(
        trie(kind, layers=shape.layers, pair=shape.pair)
        + rows(kind) * shape.head
        + len({f.image for f in kind} - {None}) * shape.align
        for kind in kinds
    )
    return seen + asked + sum(_alignment_step(each, shape) for each in steps)


def _plain(forward: Forward, shape: Shapes, cut: Cut) -> int:
    length = len(forward.encoded.input_ids)
    pairs = length * (length + 1) // 2
    picture = 0 if forward.image is None else shape.vision + shape.align
    once = picture + length * (shape.layers + shape.head) + pairs * shape.pair
    if not forward.step:
        return once
    if cut == VISION:
        return once + shape.align_gradient + length * (shape.layers + shape.head) + 2 * pairs * shape.pair
    return once + length * (shape.head + shape.mlp_gradient)


def _alignment_step(forward: Forward, shape: Shapes) -> int:
    read = max(forward.encoded.rows) + 1
    language = 2 * read * shape.layers + 3 * read * (read + 1) // 2 * shape.pair
    return shape.align + shape.align_gradient + language + 2 * len(forward.encoded.rows) * shape.head


def trie(forwards: Iterable[Forward], *, layers: int, pair: int) -> int:
    """Return the operations of every distinct prefix once."""
    children: dict[tuple[int, object], int] = {}
    total = 0
    for forward in forwards:
        node = -1
        for depth, key in enumerate(_keys(forward)):
            child = children.get((node, key))
            if child is None:
                child = children[node, key] = len(children)
                total += layers + (depth + 1) * pair
            node = child
    return total


def rows(forwards: Iterable[Forward]) -> int:
    """Return how many distinct rows are wanted, in the unedited and in the edited model."""
    return len({(f.edited, tuple(_keys(f))[: row + 1]) for f in forwards for row in f.encoded.rows})


def _keys(forward: Forward) -> list[object]:
    """Return a sequence up to its last wanted row, its image positions under the picture's own name."""
    read = forward.encoded.input_ids[: max(forward.encoded.rows) + 1]
    return [(forward.image, place) if key < 0 else key for place, key in enumerate(read)]


def _weight(backbone: ComposedBackbone, slot: Literal["mlp_in", "mlp_out"]) -> Tensor:
    return backbone.module.get_parameter(f"{backbone.site('language', -1, slot)}.weight")


def _matrices(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [(name, weight) for name, weight in module.named_parameters() if weight.ndim == 2]


def _count(function: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    total: int = counter.get_total_flops()
    return total // 2


def _count_gradient(backbone: ComposedBackbone, features: Sequence[Any]) -> int:
    part = backbone.module.get_submodule(backbone.site("alignment"))
    part.requires_grad_()
    try:
        count = _count(lambda: torch.autograd.grad(backbone.vision.align(features).sum(), list(part.parameters())))
    finally:
        part.requires_grad_(requires_grad=False)
    return count

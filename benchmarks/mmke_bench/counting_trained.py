"""Operations of editors that are trained: of a training step, and of an edit with its probes.

As in `counting`, what both sides compute alike is left out: the editors' own networks, the change of the edited
matrices, the optimizer. Gradients of edited matrices are needed as products of factors alone, so that the needed work
holds the way of the gradient through the layers, and none for the matrices themselves.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mmke_bench.counting import Count, Shapes, rows, trie
from mmke_bench.plain import Forward


class Trained(NamedTuple):
    """How many of the last layers an editor reaches: the lowest by its MLP alone. SERAC's second model: one, whole."""

    reach: int


def count_trained(log: Sequence[Forward], shape: Shapes, work: Trained) -> Count:
    """Count the plain loop's passes, and what is needed for the same logits and gradients."""
    return Count(sum(_plain(each, shape, work.reach) for each in log), _needed(log, shape, work.reach))


def _plain(forward: Forward, shape: Shapes, reach: int) -> int:
    length, layer = len(forward.encoded.input_ids), shape.layers // shape.depth
    pairs = length * (length + 1) // 2
    picture = 0 if forward.image is None else shape.vision + shape.align
    once = picture + length * (shape.layers + shape.head) + pairs * shape.pair
    if not forward.step:
        return once
    if forward.whole:  # of every layer's input, and of every matrix
        return once + 2 * length * (shape.layers + shape.head) + 2 * pairs * shape.pair
    attention = 2 * pairs * shape.pair // shape.depth
    if forward.told:
        return once + length * (shape.head + layer + shape.mlp) + attention
    matrices = reach * (shape.mlp_in + shape.mlp_out) if forward.edited else 0
    through = (reach - 1) * layer + shape.mlp_out
    return once + length * (shape.head + through + matrices) + (reach - 1) * attention


def _needed(log: Sequence[Forward], shape: Shapes, reach: int) -> int:
    pictures = {forward.image for forward in log} - {None}
    seen = len(pictures) * (shape.vision + shape.align)
    own, told = ([each for each in log if each.told == second] for second in (False, True))
    layer, pair = shape.layers // shape.depth, shape.pair // shape.depth
    below = trie(
        own,
        layers=(shape.depth - reach + 1) * layer - shape.mlp,
        pair=(shape.depth - reach + 1) * pair,
    )
    above = sum(_above([each for each in own if each.edited == edited], shape, reach) for edited in (False, True))
    beside = trie(told, layers=shape.layers - shape.mlp, pair=shape.pair) + rows(told) * (shape.mlp + shape.head)
    learnt = rows([each for each in told if each.step]) * (shape.head + 2 * shape.mlp)
    return seen + below + above + beside + learnt


def _above(forwards: Sequence[Forward], shape: Shapes, reach: int) -> int:
    """Return what lies above the cut; in the last layer's MLP and the head wanted rows alone."""
    steps = [each for each in forwards if each.step]
    layer, pair = shape.layers // shape.depth, shape.pair // shape.depth
    mixed = (reach - 1) * layer  # the lowest MLP, whole layers, the last one's attention
    there = trie(forwards, layers=mixed, pair=(reach - 1) * pair) + rows(forwards) * (shape.mlp + shape.head)
    passed = max(0, mixed - shape.mlp) + (shape.mlp_out if reach > 1 else 0)
    back = trie(steps, layers=passed, pair=2 * (reach - 1) * pair) + rows(steps) * (shape.mlp_out + shape.head)
    return there + back

"""Operations of editors that are trained: of a training step, and of an edit with its probes.

In: the plain loop's forward passes. Out: their operations, and those that the work needs. As in `counting`, what both
sides compute alike is not counted: the editors' own networks, the update of the edited matrices, the optimizer. The
gradient of an edited matrix is needed only as two factors, so the needed work has the backward pass through the layers,
and nothing for the matrices themselves.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mmke_bench.counting import Count, Shapes, rows, trie
from mmke_bench.plain import Forward


class Trained(NamedTuple):
    """How many of the last layers an editor changes (`reach`); of the lowest one the MLP only."""

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
    if forward.counterfactual:
        return once + length * (shape.head + layer + shape.mlp) + attention
    matrices = reach * (shape.mlp_in + shape.mlp_out) if forward.edited else 0
    through = (reach - 1) * layer + shape.mlp_out
    return once + length * (shape.head + through + matrices) + (reach - 1) * attention


def _needed(log: Sequence[Forward], shape: Shapes, reach: int) -> int:
    pictures = {forward.image for forward in log} - {None}
    seen = len(pictures) * (shape.vision + shape.align)
    own, second = ([each for each in log if each.counterfactual == other] for other in (False, True))
    layer, pair = shape.layers // shape.depth, shape.pair // shape.depth
    below = trie(
        own,
        layers=(shape.depth - reach + 1) * layer - shape.mlp,
        pair=(shape.depth - reach + 1) * pair,
    )
    above = sum(_above([each for each in own if each.edited == edited], shape, reach) for edited in (False, True))
    asked = trie(second, layers=shape.layers - shape.mlp, pair=shape.pair) + rows(second) * (shape.mlp + shape.head)
    learnt = rows([each for each in second if each.step]) * (shape.head + 2 * shape.mlp)
    return seen + below + above + asked + learnt


def _above(forwards: Sequence[Forward], shape: Shapes, reach: int) -> int:
    """Return the operations above the cut; in the last layer's MLP and the head, of wanted rows only."""
    steps = [each for each in forwards if each.step]
    layer, pair = shape.layers // shape.depth, shape.pair // shape.depth
    mixed = (reach - 1) * layer  # the lowest MLP, whole layers, the last one's attention
    there = trie(forwards, layers=mixed, pair=(reach - 1) * pair) + rows(forwards) * (shape.mlp + shape.head)
    passed = max(0, mixed - shape.mlp) + (shape.mlp_out if reach > 1 else 0)
    back = trie(steps, layers=passed, pair=2 * (reach - 1) * pair) + rows(steps) * (shape.mlp_out + shape.head)
    return there + back

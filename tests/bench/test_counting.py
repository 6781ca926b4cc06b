"""Operations: those of the plain loop are what PyTorch counts, and what is needed is counted once."""

from dataclasses import replace
from pathlib import Path

import pytest
from speed_kit import QUICK, cut_of, lap, logged
from torch.utils.flop_counter import FlopCounterMode

from mmke.backbones.engine.composed import ComposedBackbone
from mmke.protocols import OUTPUT, VISION, Cut, Encoded
from mmke.types import ImageRef
from mmke_bench.counting import Shapes, is_counted, needed_operations, plain_operations, shapes
from mmke_bench.plain import Forward

ONE = Shapes(vision=0, align=0, align_gradient=0, layers=1, mlp=0, mlp_gradient=0, pair=0, head=0)
PICTURES = [ImageRef(Path(f"never-opened-{i}.png"), str(i)) for i in range(2)]


def without_attention(backbone: ComposedBackbone) -> Shapes:
    return replace(shapes(backbone), pair=0)


def products(counter: FlopCounterMode) -> int:
    """Return multiply-adds but those of attention, which PyTorch does not count alike on every device."""
    return sum(n for op, n in counter.get_flop_counts()["Global"].items() if "attention" not in str(op)) // 2


def asked(*keys: int, image: ImageRef | None = None, edited: bool = False) -> Forward:
    """A query whose last token is the answer."""
    encoded = Encoded(keys, keys[-1:], (len(keys) - 2,), (0,))
    return Forward(encoded, image, edited=edited, step=False)


@pytest.mark.parametrize("editor", QUICK)
def test_its_products_are_counted_as_pytorch_counts_them(
    backbone: ComposedBackbone, small_data: Path, editor: str
) -> None:
    with FlopCounterMode(display=False) as counter:
        log = logged(backbone, editor, small_data).log
    shape, cut = without_attention(backbone), cut_of(backbone, editor, small_data)
    assert plain_operations(log, shape, cut) == pytest.approx(products(counter), rel=0.02)


def test_our_side_needs_no_more_than_is_needed(backbone: ComposedBackbone, small_data: Path) -> None:
    log, cut = logged(backbone, "ft-llm", small_data).log, cut_of(backbone, "ft-llm", small_data)
    with FlopCounterMode(display=False) as counter:
        lap(backbone, "ft-llm", small_data)
    shape = without_attention(backbone)
    assert needed_operations(log, shape, cut) <= products(counter) < plain_operations(log, shape, cut)


def test_a_shared_prefix_is_needed_once_and_the_last_token_never() -> None:
    log = [asked(1, 2, 3, 9), asked(1, 2, 4, 9)]
    assert plain_operations(log, ONE, OUTPUT) == 8
    assert needed_operations(log, ONE, OUTPUT) == 4


def test_a_picture_is_needed_once_and_another_picture_is_another_prefix() -> None:
    one, other = PICTURES
    shape = replace(ONE, vision=1000, align=100)
    log = [asked(-1, 5, 9, image=one), asked(-1, 6, 9, image=one), asked(-1, 5, 9, image=other)]
    assert plain_operations(log, shape, OUTPUT) == 3 * 1100 + 9
    assert needed_operations(log, shape, OUTPUT) == 2 * 1100 + (1 + 2) + (1 + 1)


def test_what_lies_below_an_edited_mlp_is_needed_once_for_both_models() -> None:
    shape = replace(ONE, layers=10, mlp=1)
    log = [asked(1, 2, 9), asked(1, 2, 9, edited=True)]
    assert needed_operations(log, shape, Cut("mlp", 3)) == 2 * 9 + 2 * 1
    assert needed_operations(log, shape, OUTPUT) == 2 * 2 * 10


def test_attention_counts_each_position_with_those_that_it_sees() -> None:
    shape = replace(ONE, layers=0, pair=1)
    assert plain_operations([asked(1, 2, 3, 9)], shape, OUTPUT) == 1 + 2 + 3 + 4
    assert needed_operations([asked(1, 2, 3, 9)], shape, OUTPUT) == 1 + 2 + 3


@pytest.mark.parametrize(
    ("cut", "counted"),
    [
        (OUTPUT, True),
        (VISION, True),
        (Cut("mlp", 3), True),
        (Cut("mlp", -1), True),
        (Cut("mlp", 2), False),
        (Cut("layer", 3), False),
    ],
)
def test_no_bound_is_claimed_where_operations_are_not_known(cut: Cut, counted: bool) -> None:  # noqa: FBT001
    assert is_counted(cut, layers=4) == counted

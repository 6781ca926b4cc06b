"""Whether an edited tensor lies above a cut; an edit of one that lies below would be ignored in silence."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import nn

from mmke.protocols import OUTPUT, VISION, Cut

if TYPE_CHECKING:
    from mmke.backbones.engine.composed import ComposedBackbone


def check_above(backbone: "ComposedBackbone", cut: Cut, names: Iterable[str]) -> None:
    """Check that every edited tensor lies above a cut.

    Raises:
        ValueError: one lies below it, at least in part.
    """
    below = [name for name in names if not _is_above(backbone, cut, name)]
    if below:
        raise ValueError(
            f"{below[0]} of {backbone.name} lies below the cut {cut}, so that editing it would change nothing; "
            "cut below everything that is edited (editing.sites.cut_below)"
        )


def _is_above(backbone: "ComposedBackbone", cut: Cut, name: str) -> bool:
    layers, language = f"{backbone.decoder_name}.layers.", f"{backbone.decoder_name}."
    if name.startswith(layers):
        number, _, part = name.removeprefix(layers).partition(".")
        return _is_layer_above(backbone, cut, int(number), part)
    if name.startswith(language):
        if backbone.module.get_submodule(name.rpartition(".")[0]) is backbone.decoder.embed:
            return cut == VISION  # at the next cut the tokens are embedded already
        return cut != OUTPUT if "norm" in name else cut.place in ("vision", "inputs")
    if any(backbone.module.get_parameter(name) is each for each in backbone.decoder.head.parameters()):
        return True
    # Some models have their alignment inside the tower.
    aligns = name.startswith(f"{backbone.vision.alignment}.")
    return cut == VISION and (aligns or not name.startswith(f"{backbone.vision.tower}."))


def _is_layer_above(backbone: "ComposedBackbone", cut: Cut, number: int, part: str) -> bool:
    if cut.layer is None:
        return cut.place in ("vision", "inputs")
    lowest = cut.layer % backbone.layers
    if number != lowest or cut.place == "layer":
        return number >= lowest
    return part.partition(".")[0] in _second_half(backbone, backbone.decoder.layers[number])


def _second_half(backbone: "ComposedBackbone", layer: nn.Module) -> set[str]:
    """Return the names of a layer's children that come after the cut before its MLP."""
    mlp = backbone.decoder.mlp
    norms = {name for name, child in layer.named_children() if child is mlp.norm(layer)}
    return norms | {path.partition(".")[0] for path in mlp.slots.values()}

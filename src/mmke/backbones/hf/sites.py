"""Which submodule of a model plays which role, found by shape and place and never by the model's name.

- The language model is what holds the token embeddings and as many `layers` as the text configuration says.
- The image side is what stands beside it in the module that has `get_image_features`: the tower first, then the
  alignment; where only the tower stands there, the alignment is its last part that leads to the stream's width.
- An MLP's linears lead from the stream's width to the inner one and back, under one parent with at most one more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from mmke.errors import UserError

ATTENTION = ("attn", "attention")
"""In the names of what is no MLP, though its linears may have the same shapes."""
OTHER_SENSES = ("audio", "video")
"""In the names of towers that no picture goes through."""


@dataclass(frozen=True)
class Sites:
    """Names of submodules.

    Attributes:
        owner: has `get_image_features`.
        tower: the image encoder.
        alignment: between tower and language model.
        language: the decoder without its head.
        slots: the linears of each layer's MLP, below the layer; empty where layers have none.
    """

    owner: str
    tower: str
    alignment: str
    language: str
    slots: Mapping[Any, str]


def find_sites(model: Any) -> Sites:
    """Find every role in a model.

    Raises:
        UserError: the model has another build.
    """
    text = model.config.get_text_config()
    if not hasattr(text, "num_hidden_layers"):
        raise UserError(
            f"{type(model).__name__} states no number of decoder layers; mmke does not know how to divide it"
        )
    language = _language(model, text)
    owner = _owner(model, language)
    tower, alignment = _image_side(model.get_submodule(owner), owner, language, text.hidden_size)
    layers = model.get_submodule(language).layers
    slots = mlp_slots(layers[0], text)
    held = all(isinstance(_part(layer, name), nn.Linear) for layer in layers for name in slots.values())
    return Sites(owner, tower, alignment, language, slots if held else {})


def mlp_slots(layer: nn.Module, text: Any) -> dict[str, str]:
    """Return the names of the linears that lead into and out of a layer's MLP; nothing where there is no such pair."""
    linears = {
        name: part
        for name, part in layer.named_modules()
        if isinstance(part, nn.Linear) and not any(word in name for word in ATTENTION)
    }
    for name, out in reversed(linears.items()):
        if out.out_features != text.hidden_size:
            continue
        beside = [other for other in linears if parent(other) == parent(name) and other != name]
        widths = (out.in_features, 2 * out.in_features)  # gate and value may be one linear
        leading = [
            o for o in beside if linears[o].in_features == out.out_features and linears[o].out_features in widths
        ]
        # Of two, the one that only scales is no place for knowledge: it is called a gate, or comes first.
        chosen = [other for other in leading if "gate" not in other.rpartition(".")[2]] or leading
        if chosen and len(leading) <= 2:
            return {"mlp_in": chosen[-1], "mlp_out": name}
    return {}


def parent(name: str) -> str:
    """Return the name of the module that holds a submodule."""
    return name.rpartition(".")[0]


def below(owner: str, child: str) -> str:
    """Return the name of a child."""
    return f"{owner}.{child}" if owner else child


def _language(model: Any, text: Any) -> str:
    try:
        embeddings = model.get_input_embeddings()
    except NotImplementedError as error:
        raise UserError(
            f"{type(model).__name__} has no token embeddings; mmke does not know how to divide it"
        ) from error
    found: list[str] = [
        name
        for name, part in model.named_modules()
        if isinstance(part, PreTrainedModel)
        and _count(part) == text.num_hidden_layers
        and any(each is embeddings for each in part.modules())
    ]
    if len(found) != 1 or getattr(text, "is_encoder_decoder", False):
        raise UserError(
            f"{type(model).__name__} has {len(found)} language models of {text.num_hidden_layers} decoder layers where "
            "one is expected; mmke edits a tower, an alignment and one decoder"
        )
    return found[0]


def _count(part: nn.Module) -> int | None:
    layers = getattr(part, "layers", None)
    return len(layers) if isinstance(layers, nn.ModuleList) else None


def _owner(model: Any, language: str) -> str:
    holders: list[str] = [
        name
        for name, part in model.named_modules()
        if hasattr(part, "get_image_features") and (not name or language.startswith(f"{name}."))
    ]
    if not holders:
        raise UserError(
            f"{type(model).__name__} has no get_image_features: its picture does not come in as positions of the text, "
            "and mmke does not know how to divide it"
        )
    return max(holders, key=len)


def _image_side(module: nn.Module, owner: str, language: str, width: int) -> tuple[str, str]:
    sides = [
        child
        for child in _weighty(module)
        if not f"{language}.".startswith(f"{below(owner, child)}.") and not any(word in child for word in OTHER_SENSES)
    ]
    if len(sides) > 1:
        return below(owner, sides[0]), below(owner, sides[1])
    if sides:
        tower = below(owner, sides[0])
        parts = [name for name, part in module.get_submodule(sides[0]).named_children() if _leads_to(part, width)]
        if parts:
            return tower, f"{tower}.{parts[-1]}"
    raise UserError(f"{type(module).__name__} has no alignment between an image encoder and its language model")


def _weighty(module: nn.Module) -> list[str]:
    return [name for name, child in module.named_children() if next(child.parameters(), None) is not None]


def _leads_to(part: nn.Module, width: int) -> bool:
    """Tell whether a part ends at the stream's width; a stack of layers or of mergers for several layers does not."""
    if isinstance(part, nn.ModuleList):
        return False
    return any(isinstance(each, nn.Linear) and each.out_features == width for each in part.modules())


def _part(layer: nn.Module, name: str) -> nn.Module | None:
    try:
        return layer.get_submodule(name)
    except AttributeError:
        return None

"""Which linears of a decoder layer are its attention's projections, found by their names and shapes.

The library's models call them q_proj, k_proj, v_proj and o_proj, or out_proj, dense, wq, query, and so on. Some compute
query, key and value in one linear; that one is no place for an edit of the query alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from mmke.errors import UserError

ATTENTION = ("attn", "attention")
"""In the names of what is attention."""
FUSED = "qkv"
"""Under this name a linear is kept that computes query, key and value in one."""
ROLES: Mapping[str, str] = {
    **dict.fromkeys(("q_proj", "wq", "query", "q"), "q_proj"),
    **dict.fromkeys(("k_proj", "wk", "key", "k"), "k_proj"),
    **dict.fromkeys(("v_proj", "wv", "value", "v"), "v_proj"),
    **dict.fromkeys(("o_proj", "wo", "out_proj", "dense", "c_proj", "output", "o"), "o_proj"),
    **dict.fromkeys(("qkv_proj", "qkv", "query_key_value", "c_attn", "w_pack", "wqkv", "att_proj"), FUSED),
}


def find_projections(layers: Iterable[Any], hidden: int) -> dict[str, str]:
    """Return the projections' names below a layer, by role; only those that every layer has.

    Args:
        layers: the decoder layers.
        hidden: width of the residual stream, from which query, key and value are read and to which the output leads.
    """
    each = [_of_layer(layer, hidden) for layer in layers]
    return {role: name for role, name in each[0].items() if all(other.get(role) == name for other in each)}


def projection(names: Mapping[str, str], role: str, model: str) -> str:
    """Return the name of one projection.

    Raises:
        UserError: the model has none of this role.
    """
    if role in names:
        return names[role]
    if FUSED in names and role != "o_proj":
        raise UserError(
            f"{model} computes query, key and value in one linear ({names[FUSED]}), so that there is no {role} to edit "
            "alone; edit o_proj, or the MLP (mlp_in, mlp_out)"
        )
    raise UserError(f"{model} has no linear that plays the role {role} in its decoder layers")


def _of_layer(layer: nn.Module, hidden: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, part in layer.named_modules():
        path, _, last = name.rpartition(".")
        role = ROLES.get(last.lower())
        if role is None or not isinstance(part, nn.Linear) or not any(word in path for word in ATTENTION):
            continue
        width = part.out_features if role == "o_proj" else part.in_features
        if width == hidden:
            found.setdefault(role, name)
    return found

"""Edit sites: what an editor edits, named by role in its settings, such as `language.-1.mlp_out`.

In: sites and a backbone. Out: names of parameters in the backbone's module, and the cut below all of them.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import AfterValidator
from torch import Tensor, nn

from mmke.protocols import VISION, Backbone, Cut, Editor
from mmke.types import Query

SITE = re.compile(r"alignment(\.linears)?|projection|language\.(-?\d+|-[1-9]\d*:|\*)\.(mlp_(in|out)|[qkvo]_proj)")
"""`alignment` is every tensor of the projector or Q-Former, `alignment.linears` the weights of its linear layers alone,
`projection` those of the linear layers of a projector, or of the one behind a Q-Former. `language.-1.mlp_in` is the
weight of the linear that leads into the MLP of the last decoder layer, `language.-1.q_proj` that of its attention's
query projection, `language.-3:.mlp_in` the weights of such linears in the last three layers (in all where there are
fewer), and `language.*.mlp_in` in all layers."""


def _checked(sites: tuple[str, ...]) -> tuple[str, ...]:
    if not sites or not all(SITE.fullmatch(site) for site in sites):
        slots = "mlp_in, mlp_out, q_proj, k_proj, v_proj, o_proj"
        raise ValueError(f"sites = {list(sites)}; each is 'alignment' or like 'language.-1.mlp_in' (slots: {slots})")
    return sites


def _one_of_an_mlp(site: str) -> str:
    if not re.fullmatch(r"language\.-?\d+\.mlp_(in|out)", site):
        raise ValueError(f"site = {site!r}; it is one linear of an MLP, like 'language.18.mlp_out'")
    return site


def _of_the_language_model(sites: tuple[str, ...]) -> tuple[str, ...]:
    if any(map(_aligns, sites)):
        named = next(filter(_aligns, sites)).partition(".")[0]
        raise ValueError(f"sites name {named!r}; this editor edits matrices of the language model")
    return sites


def _of_linears(sites: tuple[str, ...]) -> tuple[str, ...]:
    if "alignment" in sites:
        raise ValueError(
            "sites name 'alignment', which has biases too; this editor edits matrices, so name 'alignment.linears'"
        )
    return sites


Sites = Annotated[tuple[str, ...], AfterValidator(_checked)]
"""A list of sites in an editor's settings."""

MatrixSites = Annotated[Sites, AfterValidator(_of_the_language_model)]
"""The same of an editor that edits matrices of the language model alone."""

LinearSites = Annotated[Sites, AfterValidator(_of_linears)]
"""The same of an editor that edits matrices, those of the projector or Q-Former included."""

MlpSite = Annotated[str, AfterValidator(_one_of_an_mlp)]
"""One site, of an editor that works beside one linear of an MLP."""


def parameters(backbone: Backbone, sites: Sequence[str]) -> list[str]:
    """Return the names of the edited parameters in the backbone's module.

    Raises:
        UserError: the backbone lacks a site.
    """
    return [name for site in sites for name in _parameters(backbone, site)]


def tensors(backbone: Backbone, sites: Sequence[str]) -> dict[str, Tensor]:
    """Return the edited tensors as the module has them, by name."""
    return {name: backbone.module.get_parameter(name) for name in parameters(backbone, sites)}


def reach(sites: Sequence[str], query: Query) -> bool:
    """Tell whether an edit can change the answer to a query: what reads pictures alone needs one."""
    return query.image is not None or not all(map(_aligns, sites))


def cut_below(backbone: Backbone, sites: Sequence[str]) -> Cut:
    """Return the highest cut below everything that is edited."""
    if any(map(_aligns, sites)):
        return VISION
    layers = [_lowest(site, backbone.layers) for site in sites]
    in_lowest = [site for site, layer in zip(sites, layers, strict=True) if layer == min(layers)]
    return Cut("mlp" if all("mlp" in site for site in in_lowest) else "layer", min(layers))


def lowest_inside(backbone: Backbone, editors: Iterable[Editor]) -> Cut | None:
    """Return the lowest of the editors' cuts within the decoder layers; None where none of them cuts there."""
    cuts = [cut for editor in editors if (cut := editor.cut(backbone)) is not None]
    inside = [Cut(cut.place, cut.layer % backbone.layers) for cut in cuts if cut.layer is not None]
    return min(inside, key=lambda cut: (cut.layer, cut.place == "mlp"), default=None)


def _parameters(backbone: Backbone, site: str) -> list[str]:
    if _aligns(site):
        where = backbone.site("projection" if site == "projection" else "alignment")
        part = backbone.module.get_submodule(where)
        linears = {f"{name}.weight".removeprefix(".") for name, each in part.named_modules() if _is_linear(each)}
        names = [name for name, _ in part.named_parameters() if site == "alignment" or name in linears]
        return [f"{where}.{name}" for name in names]
    _, layer, slot = site.split(".")
    numbers = range(_lowest(site, backbone.layers), backbone.layers) if _several(layer) else [int(layer)]
    return [f"{backbone.site('language', number, slot)}.weight" for number in numbers]  # type: ignore[arg-type]


def _aligns(site: str) -> bool:
    """Tell whether a site lies between the image encoder and the language model."""
    return site.startswith(("alignment", "projection"))


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def _lowest(site: str, layers: int) -> int:
    """Return the lowest layer of a site, counted from the first: layer -1 lies above layer 0."""
    layer = site.split(".")[1]
    if _several(layer):
        return 0 if layer == "*" else max(0, layers + int(layer.removesuffix(":")))
    return int(layer) % layers


def _several(layer: str) -> bool:
    """Tell whether a site names several layers: all, or the last few."""
    return layer == "*" or layer.endswith(":")

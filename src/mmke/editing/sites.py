"""From the sites that settings name by role to parameters and to the cut below them."""

import re
from collections.abc import Iterable, Iterator, Sequence

from mmke.protocols import VISION, Backbone, Cut, Editor

SITE = re.compile(r"alignment|language\.-?\d+\.mlp_(in|out)")
"""`alignment` is every tensor of the projector or Q-Former, `language.-1.mlp_in` the weight of the linear that leads
into the MLP of the last decoder layer."""


def site_problems(sites: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with a list of sites."""
    if not sites or not all(SITE.fullmatch(site) for site in sites):
        yield f"sites = {list(sites)}; each is 'alignment' or like 'language.-1.mlp_in'"


def parameters(backbone: Backbone, sites: Sequence[str]) -> list[str]:
    """Return the names of the edited parameters in the backbone's module.

    Raises:
        UserError: the backbone lacks a site.
    """
    return [name for site in sites for name in _parameters(backbone, site)]


def layers(sites: Sequence[str]) -> list[int]:
    """Return the decoder layers that are edited; none when only the alignment is."""
    return [int(site.split(".")[1]) for site in sites if site != "alignment"]


def cut_below(backbone: Backbone, sites: Sequence[str]) -> Cut:
    """Return the highest cut below everything that is edited."""
    if "alignment" in sites:
        return VISION
    # Counted from the first before they are compared: layer -1 lies above layer 0.
    return Cut("mlp", min(layer % backbone.layers for layer in layers(sites)))


def lowest_inside(backbone: Backbone, editors: Iterable[Editor]) -> Cut | None:
    """Return the lowest of the editors' cuts before an MLP; None where none of them cuts there."""
    cuts: list[Cut] = [editor.cut(backbone) for editor in editors if hasattr(editor, "cut")]
    lowest = min(((cut.layer or 0) % backbone.layers for cut in cuts if cut.place == "mlp"), default=None)
    return None if lowest is None else Cut("mlp", lowest)


def _parameters(backbone: Backbone, site: str) -> list[str]:
    if site == "alignment":
        where = backbone.site("alignment")
        return [f"{where}.{name}" for name, _ in backbone.module.get_submodule(where).named_parameters()]
    _, layer, slot = site.split(".")
    return [f"{backbone.site('language', int(layer), slot)}.weight"]  # type: ignore[arg-type]

"""Where a run lies below a results folder.

The folder is `DIR/<backbone>/<benchmark>/hop<N>/<protocol>/seed<S>/<editor>/`. That of a stream is
`…/<protocol>/<schedule>/order<S>/seed<S>/<editor>/`, and without `order<S>` for its floor.
"""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from mmke.results.manifest import RunSettings

LONGEST = 100
"""Characters of a folder's name; file systems take 255 bytes."""


def run_path(out: Path, settings: RunSettings) -> Path:
    """Return the folder of a run below `out`; what cannot stand in a folder's name becomes `_`.

    A name that is a path, such as `hf:org/model`, or that is long carries a digest: `hf:org_model` is another model.
    """
    place = _place(out, settings)
    if settings.stream is not None:
        place = place / _folder_name(settings.schedule)
    if settings.order_seed is not None:
        place = place / f"order{settings.order_seed}"
    return place / f"seed{settings.seed}" / _folder_name(settings.editor)


def floor_path(out: Path, settings: RunSettings, floor: str) -> Path:
    """Return the folder of the floor's run beside a run below `out`; `floor` is the name of the unedited editor."""
    return run_path(out, replace(settings, editor=floor, order_seed=None))


def first_format_path(out: Path, settings: RunSettings) -> Path:
    """Return the folder that an earlier version of the results format had for a run below `out`."""
    return _place(out, settings) / _folder_name(settings.editor)


def _place(out: Path, settings: RunSettings) -> Path:
    parts = (settings.backbone, settings.benchmark, f"hop{settings.hop}", settings.switches.protocol)
    return out.joinpath(*map(_folder_name, parts))


def _folder_name(part: str) -> str:
    plain = re.sub(r"[^\w.+-]|^\.+", "_", part)
    if not set("/:") & set(part) and len(plain) <= LONGEST:
        return plain
    return f"{plain[-LONGEST:]}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"

"""Records made by hand, and an encoder that needs no model."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmke.benchmarks.probes.published import I_LOC, I_REL, T_REL
from mmke.types import Edit, EditCase, ImageRef, Probe, Query


def embed(texts: Sequence[str]) -> np.ndarray:
    """Return vectors that only equal texts share."""
    drawn = [
        np.random.default_rng(int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)).normal(size=8) for text in texts
    ]
    return np.stack([each / np.linalg.norm(each) for each in drawn])


def picture(name: str) -> ImageRef:
    return ImageRef(Path(f"{name}.png"), name)


def record(
    id_: str, target: str, *, original: str = "", kind: str = "bird", image: str = "", rel: str = ""
) -> EditCase:
    """Return a record of one edit on a picture of its own, unless another is named."""
    tags = {"knowledge": "entity", "type_self": kind}
    shown = picture(image or id_)
    return EditCase(
        id=id_,
        edits=(Edit(Query("What is shown?", shown), target, original or f"old {id_}"),),
        probes=(
            Probe(I_LOC, Query("Which fruit is it?", picture(f"far of {id_}")), "a pear", tags),
            Probe(T_REL, Query(rel or f"Where does {id_} live?"), f"in {id_}", tags),
            Probe(I_REL, Query(f"Who owns the {id_} in the picture?", shown), f"owner of {id_}", tags),
            Probe(I_REL, Query(f"What does {id_} eat?", shown), f"food of {id_}", tags),
        ),
    )

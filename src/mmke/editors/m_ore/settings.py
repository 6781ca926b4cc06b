"""The settings of M-ORE: what `m-ore.toml` states, and what is allowed."""

from typing import Literal

from pydantic import model_validator

from mmke.editing import sites
from mmke.editing.checked import FromOne, FromZero, Positive
from mmke.editing.settings import EditorSettings


class MORESettings(EditorSettings):
    """What `m-ore.toml` states.

    Attributes:
        sites: the matrices that are added to, by role; see `sites.SITE`.
        rank: rows of A.
        scale: what B A is multiplied by.
        groups: how many groups a write changes, at most.
        steps: writes for each batch of edits, each with a gradient of its own.
        step: what the gradient is multiplied by, in the language model.
        projector_step: the same in the projector or Q-Former.
        regularisation: λ; the larger, the less a write closes.
        keys: whether a key has length 1, or its own, when its direction is closed.
        normalise: whether a LayerNorm stands between A and B.
        protect: training records whose unrelated questions are closed before the first edit.
        shared_rows: of the rank, the rows that the write gate acts on; 0: there is no gate.
        shared_step: what their gradient is multiplied by.
    """

    sites: sites.LinearSites
    rank: FromOne
    scale: Positive
    groups: FromOne
    steps: FromOne
    step: Positive
    projector_step: Positive
    regularisation: Positive
    keys: Literal["unit", "raw"]
    normalise: bool
    protect: FromZero
    shared_rows: FromZero
    shared_step: Positive

    @model_validator(mode="after")
    def _leaves_private_rows(self) -> "MORESettings":
        if self.shared_rows >= self.rank:
            raise ValueError(
                f"shared_rows = {self.shared_rows} of rank = {self.rank}; it is below the rank, and 0 without a gate"
            )
        return self

"""What a session is saved as: tensors by name, and facts that JSON can hold; and the way back.

A state belongs to one editor on one set of weights. Both stand among the facts, and a session refuses another's state.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from mmke.errors import UserError
from mmke.protocols import Backbone, LowRankUpdate, SessionState, Weights
from mmke.types import Edit, ImageRef, Query

INPUTS, OUTPUTS = ".update_inputs", ".update_outputs"
"""Behind the name of a matrix: the two factors of its low-rank update."""
NORMALISED = ".update_outputs_normalised"
"""The second factor where a LayerNorm stands between the two."""


def facts(editor: str, backbone: Backbone, **further: Any) -> dict[str, Any]:
    """Return whose state it is, with what else the editor has to say."""
    return {"editor": editor, "backbone": backbone.name, "weights_revision": backbone.revision, **further}


def check(state: SessionState, editor: str, backbone: Backbone) -> None:
    """Refuse the state of another editor or of other weights.

    Raises:
        UserError: the message names both.
    """
    for key, here in facts(editor, backbone).items():
        there = state.facts.get(key)
        if there != here:
            raise UserError(
                f"this is a saved session of {key} {there!r}, and this session's is {here!r}; open a session of that "
                f"{key.replace('_', ' ')}"
            )


def persistent_bytes(state: SessionState) -> int:
    """Return what a saved session takes beside the base model: the bytes of its tensors and of its facts as JSON."""
    tensors = sum(tensor.numel() * tensor.element_size() for tensor in state.tensors.values())
    return tensors + len(json.dumps(dict(state.facts), ensure_ascii=False).encode("utf-8", errors="backslashreplace"))


def flat(weights: Weights) -> dict[str, Tensor]:
    """Return edited tensors under one name each; a low-rank update is two tensors."""
    tensors: dict[str, Tensor] = {}
    for name, edited in weights.items():
        if isinstance(edited, LowRankUpdate):
            tensors |= {
                name + INPUTS: edited.inputs,
                name + (NORMALISED if edited.normalised else OUTPUTS): edited.outputs,
            }
        else:
            tensors[name] = edited
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def nested(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, editor: str) -> Weights:
    """Return edited tensors on the device of the module's own; no tensors are no edit.

    Args:
        tensors: as `flat` names them.
        wanted: the module's own tensors that are edited, by name.
        editor: for the message.

    Raises:
        UserError: a tensor is missing, surplus, or of another shape; the message names it.
    """
    if not tensors:
        return {}
    weights: dict[str, Tensor | LowRankUpdate] = {}
    rest = dict(tensors)
    for name, own in wanted.items():
        if name in rest:
            weights[name] = rest.pop(name).to(own.device)
        for outputs in (OUTPUTS, NORMALISED):
            factors = (name + INPUTS, name + outputs)
            if name not in weights and rest.keys() >= set(factors):
                first, second = (rest.pop(factor).to(own.device) for factor in factors)
                weights[name] = LowRankUpdate(first, second, normalised=outputs == NORMALISED)
    wrong = [
        name
        for name, own in wanted.items()
        if name not in weights or not _whole(weights[name]) or shape(weights[name]) != tuple(own.shape)
    ]
    if wrong or rest:
        raise UserError(
            f"{editor}: the saved session does not fit: the tensor {[*wrong, *rest][0]!r} is missing, surplus or of "
            "another shape; it was saved under other settings, so open the session with those"
        )
    return weights


def _whole(edited: Tensor | LowRankUpdate) -> bool:
    """Tell whether the two factors of a low-rank update are of one rank and one type."""
    if not isinstance(edited, LowRankUpdate):
        return True
    inputs, outputs = edited.inputs, edited.outputs
    return (inputs.ndim, outputs.ndim) == (2, 2) and (len(inputs), inputs.dtype) == (len(outputs), outputs.dtype)


def shape(edited: Tensor | LowRankUpdate) -> tuple[int, ...]:
    """Return the shape of a matrix by what stands in for it, or is added to it."""
    if isinstance(edited, LowRankUpdate):
        return edited.outputs.shape[1], edited.inputs.shape[1]
    return tuple(edited.shape)


def of_edits(edits: Sequence[Edit]) -> list[dict[str, Any]]:
    """Return edits as JSON can hold them; a picture is its path and the digest of its bytes."""
    return [
        {
            "question": edit.query.text,
            "image": edit.query.image and {**asdict(edit.query.image), "path": str(edit.query.image.path)},
            "target": edit.target,
            "original": edit.original,
        }
        for edit in edits
    ]


def edits_of(plain: Sequence[Mapping[str, Any]]) -> list[Edit]:
    """Return the edits that `of_edits` wrote."""
    return [Edit(Query(each["question"], _image(each["image"])), each["target"], each["original"]) for each in plain]


def _image(plain: Mapping[str, Any] | None) -> ImageRef | None:
    return None if plain is None else ImageRef(**{**plain, "path": Path(plain["path"])})

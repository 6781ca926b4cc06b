"""What of a model's weights an edit changes, and whether the edit lives in the weights at all."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmke.backbones.engine.store import MemoryStore
from mmke.backbones.engine.substitution import dense
from mmke.editing.states import INPUTS, OUTPUTS
from mmke.editing.trained import read_shapes
from mmke.edits.loading import Stack
from mmke.errors import UserError
from mmke.protocols import Backbone, LowRankUpdate, TrainableEditor, Weights


class Lowered(NamedTuple):
    """A change of a matrix as a low-rank update, and what that leaves out.

    Attributes:
        update: the factors.
        error: norm of what is left out, as a share of the norm of the change; None: these are the edit's own factors.
    """

    update: LowRankUpdate
    error: float | None


def check_in_weights(stack: Stack, skeleton: Backbone) -> None:
    """Refuse an editor whose edits do not live in the weights, before these are read.

    Raises:
        UserError: the message has the editor's own reason.
    """
    editor = stack.editor.editor
    trained = isinstance(editor, TrainableEditor) and stack.checkpoint is not None
    if isinstance(editor, TrainableEditor) and stack.checkpoint is not None:
        editor.load_state_dict(skeleton, read_shapes(stack.checkpoint))
    try:
        with editor.open(skeleton, MemoryStore()) as session, session.module():
            pass
    except UserError as error:
        raise UserError(
            f"{stack.edits[0].folder} cannot become a model of its own: {error} (mmke ask --edit does, and so does "
            "mmke.load_edit)"
        ) from error
    finally:
        if trained and isinstance(editor, TrainableEditor):
            editor.release()


def changes_of(tensors: Mapping[str, Tensor], module: nn.Module) -> Weights:
    """Return the edited tensors of a session's state by the module's names.

    Raises:
        UserError: there are none.
    """
    changes: dict[str, Tensor | LowRankUpdate] = {}
    for name, own in module.named_parameters():
        if name in tensors:
            changes[name] = tensors[name].to(own.device)
        elif name + INPUTS in tensors and name + OUTPUTS in tensors:
            changes[name] = LowRankUpdate(*(tensors[name + part].to(own.device) for part in (INPUTS, OUTPUTS)))
    if not changes:
        raise UserError("this edit changes no tensor of the model, so that there is nothing to export")
    return changes


def lowered(name: str, own: Tensor, edited: Tensor | LowRankUpdate, rank: int | None) -> Lowered:
    """Return an edited matrix as a low-rank update.

    Args:
        name: of the parameter, for the message.
        own: the unedited matrix.
        edited: the edited one, or the factors of its change, which are exact.
        rank: of the result; None: that of the factors.

    Raises:
        UserError: a full tensor without a rank, or one that is no matrix of a linear.
    """
    if own.dim() != 2 or not name.endswith(".weight"):
        raise UserError(f"an adapter holds changes of matrices, and this edit changes {name}; export a whole model")
    if isinstance(edited, LowRankUpdate) and (rank is None or rank >= len(edited.inputs)):
        return Lowered(edited, None)
    if rank is None:
        raise UserError(
            f"this edit changes the whole matrix {name}; --rank R makes the nearest adapter of rank R and says what it "
            "leaves out, and without --adapter a whole model is exported"
        )
    change = dense(own, edited).float() - own.float() if isinstance(edited, Tensor) else edited.product()
    left, values, right = torch.linalg.svd(change, full_matrices=False)
    root = values[:rank].sqrt()
    update = LowRankUpdate(root[:, None] * right[:rank], root[:, None] * left[:, :rank].T)
    whole = float(values.square().sum())
    return Lowered(update, (float(values[rank:].square().sum()) / whole) ** 0.5 if whole else 0.0)

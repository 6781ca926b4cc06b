"""Export an edit as an adapter of the PEFT library, which other programs load beside the unedited model.

Edits that are low-rank updates are exact. Of a whole matrix the nearest adapter of a rank is written, and what it
leaves out is told.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from mmke.editing.adapter import write_adapter
from mmke.edits.export.changes import changes_of, check_in_weights, lowered
from mmke.edits.files import check_free
from mmke.edits.loading import HF, Stack
from mmke.edits.opening import Where, in_force, skeleton_of
from mmke.errors import UserError


class Adapter(NamedTuple):
    """An adapter that was written.

    Attributes:
        ranks: of each linear, by its name.
        errors: of each: the norm of what is left out, as a share of the change's norm; None: it is exact.
    """

    ranks: dict[str, int]
    errors: dict[str, float | None]


def export_adapter(stack: Stack, where: Where, to: Path, *, rank: int | None) -> Adapter:
    """Write an adapter into a new folder.

    Args:
        stack: the edit.
        where: where the model is loaded.
        to: the new folder.
        rank: of the adapter, at most; None: that of the edit, which has to be of low rank.

    Raises:
        UserError: the edit does not live in the weights, or in more than matrices; the model is none of the library's;
            PEFT is not installed.
    """
    check_free(to)
    skeleton = skeleton_of(stack, where)
    if not isinstance(skeleton.module, PreTrainedModel):
        raise UserError(f"{skeleton.name} is no model of the library, and an adapter is for one; export a whole model")
    check_in_weights(stack, skeleton)
    with in_force(stack, where) as (backbone, session):
        edited = changes_of(session.state().tensors, backbone.module)
        own = dict(backbone.module.named_parameters())
        made = {name: lowered(name, own[name].detach(), each, rank) for name, each in edited.items()}
        draft = to.with_name(f".{to.name}.{os.getpid()}.tmp")
        updates = {name: each.update for name, each in made.items()}
        try:
            write_adapter(draft, backbone, updates, base=backbone.name.removeprefix(HF))
            draft.rename(to)
        except ImportError as error:
            raise UserError(f"an adapter needs the Python package {error.name!r}; run: pip install peft") from error
        except OSError as error:
            raise UserError(f"the adapter cannot be written to {to} ({error}); choose another --to") from error
        finally:
            with suppress(OSError):
                shutil.rmtree(draft)
    return Adapter(
        {name: len(each.update.inputs) for name, each in made.items()},
        {name: each.error for name, each in made.items()},
    )

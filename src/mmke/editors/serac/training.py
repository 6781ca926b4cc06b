"""What a record's loss under SERAC is made of.

Under `paper`, as published: edit_weight · nll(paraphrase) + image_edit_weight · nll(question on another picture) +
locality_weight · KL(base ‖ edited) over all positions of the unrelated question without a picture, each through the
soft mixture; the unrelated question with a picture is not asked.

Under `strict` a decision has no gradient, so that both models are trained for what they decide:
- the counterfactual model says the edit, and what the base says to both unrelated questions, should they reach it
  (KL over the rows that predict the answer, the only ones that the two prompts share);
- the scope classifier is told what is in scope: every question that the record asks about its edit; and what is not:
  its unrelated questions, and those of other training records. A question that a record asks in both roles counts as
  in scope. What other records ask about their own edits is left out: it often reads the same ("What is shown?").
  Where pictures are compared a question is its text with its picture.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmke.backbones.engine.answering import wanted_logits
from mmke.backbones.engine.sending import sent
from mmke.editing.losses import answer_loss, locality_divergence
from mmke.editing.objective import missing_probes
from mmke.editors.serac.mixture import THRESHOLD, aligned, soft
from mmke.editors.serac.scope import scope_loss
from mmke.errors import UserError
from mmke.protocols import Backbone, Store
from mmke.types import (
    Ask,
    EditCase,
    Probe,
    Query,
    Role,
)

IN_SCOPE: tuple[Role, ...] = ("recall", "relation")
SAID = ("rephrase", "image_rephrase")
KEPT = ("t_loc", "i_loc")


def losses(editor: Any, backbone: Backbone, case: EditCase, *, store: Store) -> Mapping[str, Tensor]:
    """Return the parts of a record's loss and their weighted `total`.

    Args:
        editor: SERAC with its networks.
        backbone: unedited.
        case: the record.
        store: keeps trunks and what a frozen encoder reads.

    Raises:
        UserError: the record lacks a probe that training needs.
    """
    values = editor.settings
    parts = _answers(editor, backbone, case, store)
    total = values.edit_weight * parts["edit"] + values.image_edit_weight * parts["image_edit"]
    total = total + values.locality_weight * sum(parts[name] for name in ("text", "image") if name in parts)
    if not editor.soft:
        parts |= scope_losses(editor, backbone, case, store)
        total = total + values.scope_weight * parts["scope"].to(total.device)
    return {"total": total, **parts}


def _answers(editor: Any, backbone: Backbone, case: EditCase, store: Store) -> dict[str, Tensor]:
    """Return the losses of what is said in the edit's scope and beyond it."""
    edit, probes = case.edits[0], _probes(case, with_picture=not editor.soft)
    positions = editor.switches.locality_positions
    asks = [
        Ask(labels=editor.switches.labels, positions=positions if probe.kind.name in KEPT else "answer")
        for probe in probes
    ]
    with torch.no_grad():
        base = wanted_logits(backbone, probes, asks, store=store)
    model = editor.counterfactual(backbone)
    weights = editor.weights(model, edit)
    other = model.logits(probes, [edit] * len(probes), asks, store=store, weights=weights)
    if editor.soft:
        texts = [editor.keys.of_probe(probe.query.text, probe.target) for probe in probes]
        near = editor.networks().scope.nearest(texts, [editor.keys.of_edit(edit)], store).log_similarity.exp()
        after = [soft(old, new, s) for old, new, s in zip(base.logits, other.logits, near, strict=True)]
    else:
        after = [aligned(new, len(old)).to(old.device) for old, new in zip(base.logits, other.logits, strict=True)]
    targets = [sent(encoded.target_ids, each.device) for encoded, each in zip(base.encoded, after, strict=True)]
    said = {name: answer_loss(after[i], targets[i]) for i, name in enumerate(("edit", "image_edit"))}
    kept = zip(("text", "image"), base.logits[2:], after[2:], strict=False)
    return said | {name: locality_divergence(old, new) for name, old, new in kept}


def scope_losses(editor: Any, backbone: Backbone, case: EditCase, store: Store) -> dict[str, Tensor]:
    """Return the scope classifier's loss, and how many texts it puts on the right side."""
    edit = case.edits[0]
    inside = _compared(editor, (probe.query for probe in case.probes if probe.kind.role in IN_SCOPE))
    own = [query for query in _compared(editor, unrelated([case])) if query not in inside]
    others = [query for query in _compared(editor, editor.unrelated) if query not in (*inside, *own)]
    draw = random.Random(f"{editor.seed} {case.id} {edit.target}")  # noqa: S311 - a draw, not a secret
    drawn = draw.sample(others, min(editor.settings.negatives, len(others)))
    queries = [*inside, *own, *drawn]
    texts = [editor.keys.of_probe(query.text, "") for query in queries]
    near = editor.nearest(backbone, texts, queries, [edit], store=store).log_similarity
    within, beyond, far = torch.split(near, [len(inside), len(own), len(drawn)])
    outside = near[len(inside) :].detach()
    # The record's own unrelated questions, which are near what it edits, weigh as much as all that are drawn.
    parts = [scope_loss(within, some) for some in ((beyond, far) if editor.settings.negatives else (beyond,))]
    return {
        "scope": sum(parts[1:], parts[0]) / len(parts),
        "inside": (within.detach().exp() > THRESHOLD).float().mean(),
        "outside": (outside.exp() <= THRESHOLD).float().mean() if len(outside) else torch.ones(()),
    }


def unrelated(cases: Sequence[EditCase]) -> list[Query]:
    """Return the distinct unrelated questions of some records, in a fixed order."""
    return _distinct(probe.query for case in cases for probe in case.probes if probe.kind.role == "locality")


def _compared(editor: Any, queries: Iterable[Query]) -> list[Query]:
    """Return what the scope classifier tells apart: distinct queries, without pictures where these are not compared."""
    pictured = editor.networks().scope.compares_pictures
    return _distinct(query if pictured else Query(query.text) for query in queries)


def _distinct(queries: Iterable[Query]) -> list[Query]:
    return sorted(set(queries), key=lambda query: (query.text, "" if query.image is None else query.image.sha256))


def _probes(case: EditCase, *, with_picture: bool) -> list[Probe]:
    lacking = missing_probes(case)
    if lacking:
        raise UserError(f"training record {case.id} has no {' and no '.join(lacking)}")
    by_kind = {probe.kind.name: probe for probe in case.probes}
    return [by_kind[kind] for kind in (*SAID, *(KEPT if with_picture else KEPT[:1]))]

"""From probes to answers: encode, compute what lies below the cut, then the logits of the wanted rows, and read them.

In: a backbone, probes, ways of asking, edited tensors if there are any. Out: an `Answer` for each probe.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmke.backbones.engine.sending import sent
from mmke.protocols import Backbone, Batch, Cut, Encoded, Store, Trunk, Weights, Written
from mmke.types import Answer, Ask, Asks, Probe

LONG_ANSWER = 1024
"""Tokens from which an answer is long."""


def by_ask(answer: Callable[[Sequence[Probe], Ask], list[Answer]], probes: Sequence[Probe], ask: Asks) -> list[Answer]:
    """Answer probes in one batch for each way of asking.

    Then a probe shares its batch with the same other probes before and after an edit. The shapes are equal, so an
    answer that the edit cannot reach keeps the same bits.
    """
    if isinstance(ask, Ask):
        return answer(probes, ask)
    answers: dict[int, Answer] = {}
    for way in dict.fromkeys(ask):
        among = [i for i, each in enumerate(ask) if each == way]
        answers |= zip(among, answer([probes[i] for i in among], way), strict=True)
    return [answers[i] for i in range(len(probes))]


def answer(
    backbone: Backbone,
    probes: Sequence[Probe],
    ask: Asks,
    *,
    store: Store,
    cut: Cut | None = None,
    weights: Weights | None = None,
) -> list[Answer]:
    """Answer probes in one batch, with a backbone whose tensors `weights` are edited; below `cut` all is unedited.

    Without a cut the trunk ends before the last layer's MLP, the highest cut that an editor uses. The trunk of the
    unedited model can then be used again by an editor of that MLP, and the MLP costs little because only the wanted
    rows are computed. With a lower `cut` the state there is kept as well, for editors of the layers above it.

    Probes with very long answers are asked one by one: logits take rows × vocabulary × 4 bytes.
    """
    if not probes:
        return []
    asks = [ask] * len(probes) if isinstance(ask, Ask) else list(ask)
    batch = _encode(backbone, probes, asks)
    if asks[0].decode == "generate":
        limits = [_limit(backbone, probe, each) for probe, each in zip(probes, asks, strict=True)]
        written = backbone.greedy(batch, limits, store=store, weights=weights or {})
        return [_written_answer(backbone, each) for each in written]
    parts = _parts(batch)
    if len(parts) > 1:
        answers: dict[int, Answer] = {}
        for part in parts:
            some, ways = [probes[i] for i in part], [asks[i] for i in part]
            answers |= zip(part, answer(backbone, some, ways, store=store, cut=cut, weights=weights), strict=True)
        return [answers[i] for i in range(len(probes))]
    with torch.no_grad():
        if weights:
            trunk = kept_trunk(backbone, batch, cut or _highest(backbone), store)
        else:
            trunk = kept_trunk(backbone, batch, _highest(backbone), store, by_way_of=cut)
        wanted = _tail_logits(backbone, trunk, weights or {})
    return read_off(backbone, wanted.encoded, wanted.logits, asks)


def _parts(batch: Batch) -> list[list[int]]:
    """Divide a batch: each probe with a very long answer by itself, and all others together."""
    long = [i for i, each in enumerate(batch.encoded) if len(each.target_ids) >= LONG_ANSWER]
    others = [i for i in range(len(batch.encoded)) if i not in long]
    return [part for part in (others, *([i] for i in long)) if part]


class WantedLogits(NamedTuple):
    """Encoded probes with their gold answers, and for each the logits of its wanted rows [rows vocab]."""

    encoded: Sequence[Encoded]
    logits: Sequence[Tensor]


def wanted_logits(
    backbone: Backbone,
    probes: Sequence[Probe],
    asks: Sequence[Ask],
    *,
    store: Store,
    cut: Cut | None = None,
    weights: Weights | None = None,
) -> WantedLogits:
    """Compute the logits of every wanted row, teacher-wanted, with gradient into `weights`; see `answer`."""
    batch = _encode(backbone, probes, asks)
    return _tail_logits(backbone, kept_trunk(backbone, batch, cut or _highest(backbone), store), weights or {})


class _Kept(NamedTuple):
    """A trunk without its batch, which is at hand whenever the trunk is asked for."""

    cut: Cut
    features: tuple[Any, ...]
    hidden: tuple[Tensor, ...]
    contexts: tuple[Mapping[str, object], ...]


def kept_trunk(backbone: Backbone, batch: Batch, cut: Cut, store: Store, *, by_way_of: Cut | None = None) -> Trunk:
    """Return the trunk below a cut; it is computed once, as long as the store keeps it.

    With `by_way_of`, a lower cut inside the language model, the state there is kept as well.
    """

    def make() -> _Kept:
        if by_way_of is None or _layer(backbone, by_way_of) >= _layer(backbone, cut):
            trunk = backbone.trunk(batch, cut, store=store)
        else:
            begun = kept_trunk(backbone, batch, by_way_of, store)
            trunk = backbone.trunk(batch, cut, store=store, begun=begun)
        return _Kept(trunk.cut, trunk.features, trunk.hidden, trunk.contexts)

    kept = store.get((backbone.state, cut, batch.digest), make)
    return Trunk(kept.cut, batch, *kept[1:])


def _layer(backbone: Backbone, cut: Cut) -> float:
    """Return the layer of a cut; infinity for a cut outside the layers, from which none of them can be begun."""
    return math.inf if cut.layer is None else float(cut.layer % backbone.layers)


def _highest(backbone: Backbone) -> Cut:
    return Cut("mlp", backbone.layers - 1)


def _encode(backbone: Backbone, probes: Sequence[Probe], asks: Sequence[Ask]) -> Batch:
    return backbone.encode([probe.query for probe in probes], [probe.target for probe in probes], asks)


def _tail_logits(backbone: Backbone, trunk: Trunk, weights: Weights) -> WantedLogits:
    logits = backbone.tail(trunk, weights)
    encoded = trunk.batch.encoded
    return WantedLogits(encoded, torch.split(logits, [len(each.rows) for each in encoded]))


def _limit(backbone: Backbone, probe: Probe, ask: Ask) -> int:
    prompt = backbone.length(probe.query, "")
    limit = max(ask.max_new, 2 * (backbone.length(probe.query, probe.target) - prompt))
    room = backbone.max_positions - prompt if backbone.learned_positions else limit
    return max(min(limit, room), 0)


def _written_answer(backbone: Backbone, written: Written) -> Answer:
    nothing = np.zeros((0, 0), dtype=np.int64)
    text = backbone.text(written.ids).strip()
    return Answer(text, written.ids, (), math.nan, nothing, finished=written.finished)


def read_off(
    backbone: Backbone, encoded: Sequence[Encoded], logits: Sequence[Tensor], asks: Sequence[Ask]
) -> list[Answer]:
    """Return the answers that the logits of probes' wanted rows [rows vocab] give.

    All probes are read off together: a GPU is waited for a few times, however many there are.
    """
    answering = [
        piece if _everywhere(each) else piece[sent(each.answer_rows, piece.device, torch.long)]
        for each, piece in zip(encoded, logits, strict=True)
    ]
    sizes = [len(each) for each in answering]
    joint = torch.cat(answering).float()
    scored = joint.log_softmax(-1)
    targets = sent([token for each in encoded for token in each.target_ids], joint.device, torch.long)
    # On the CPU max() finds the first of the largest three times as fast as argmax() does.
    picked = joint.max(-1).indices
    means = torch.stack([each.mean() for each in torch.split(scored.gather(1, targets[:, None]), sizes)]).tolist()
    rows = zip(torch.split(picked.cpu(), sizes), torch.split(scored, sizes), strict=True)
    return [
        Answer(
            text=backbone.text(best.tolist()).strip(),
            token_ids=tuple(best.tolist()),
            target_ids=each.target_ids,
            target_logprob=mean,
            top_ids=_top_ids(each, piece, ask, best).numpy(),
            logprobs=_logprobs(each, piece, own).numpy() if ask.logprobs else None,
        )
        for each, piece, ask, (best, own), mean in zip(encoded, logits, asks, rows, means, strict=True)
    ]


def _everywhere(encoded: Encoded) -> bool:
    """Tell whether all wanted rows predict the answer."""
    return len(encoded.answer_rows) == len(encoded.rows)


def _top_ids(encoded: Encoded, logits: Tensor, ask: Ask, best: Tensor) -> Tensor:
    """Return the most probable ids of all wanted rows; `best` are those of the rows that predict the answer."""
    if ask.top == 1 and _everywhere(encoded) and not ask.native_topk:
        return best[:, None]
    return top_ids(logits, ask.top, native=ask.native_topk).cpu()


def _logprobs(encoded: Encoded, logits: Tensor, own: Tensor) -> Tensor:
    """Return the log-probabilities of all wanted rows; `own` are those of the rows that predict the answer."""
    # A copy, since those of all probes are one tensor, which would stay in memory with one of them.
    return own.cpu().clone() if _everywhere(encoded) else logits.float().log_softmax(-1).cpu()


def top_ids(logits: Tensor, top: int, *, native: bool) -> Tensor:
    """Return the ids of the `top` largest of each row [rows × top], best first.

    Native: after a softmax in the logits' own precision, where far tails tie and the device orders them.
    Otherwise in float32, ties by id.
    """
    if native:
        return logits.softmax(-1).topk(top).indices
    if top == 1:
        return logits.max(-1, keepdim=True).indices
    values, ids = logits.float().topk(min(top + 1, logits.shape[-1]))
    if (values[:, 1:] < values[:, :-1]).all():
        return ids[:, :top]
    # topk leaves ties in any order, at its lower end too; sorting the vocabulary takes fifty times as long.
    return logits.float().sort(dim=-1, descending=True, stable=True).indices[:, :top]

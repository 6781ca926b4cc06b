"""Fit the gated note's gates on training records: weights, thresholds, and what they accept of records held out.

    python recipes/gate/fit.py --backbone smol-llava --device cuda --more build/distractors/edits.json

The records are divided in ten. Pictures of each tenth are whitened by those of the other records, and its questions
are scored by gates that were fitted on the others. So the printed shares are of questions that no weight was fitted
on; the thresholds were chosen on them. And the whitening has nearly as many pictures as the one that the editor makes.
What is printed last, for gated-note.toml, is fitted on all of them.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from mmke.backbones.engine.store import store_for
from mmke.benchmarks.open import open_benchmark
from mmke.benchmarks.plain import plain_edits
from mmke.editing.settings import read_changes, resolve
from mmke.editors.gated_note import words
from mmke.editors.gated_note.edit import GatedNote, make
from mmke.editors.gated_note.memory import Memory
from mmke.editors.gated_note.pictures import Whitening, background, seen
from mmke.running.loading import load_backbone
from mmke.running.probes import with_probes
from mmke.running.request import Request
from mmke.types import STRICT, Edit, EditCase

FOLDS = 10
KINDS = ("mini-entity", "mini-visual", "mini-user")
INSIDE = {"text": ("t_rel",), "picture": ("i_rel", "i_gen", "image_rephrase", "port")}
FAR = {"text": ("t_loc",), "picture": ("i_loc", "ri_question")}
NEAR = {
    "text": ("near_text", "ci_named"),
    "picture": ("ri_picture", "ri_generic", "ci_picture", "ci_partner", "black"),
}
FEATURES = {"text": ("t", "o", "n", "s"), "picture": ("v", "t", "vt", "vv", "tt", "o", "g", "e", "co")}
"""As docs/editors/gated-note.md names them."""
SIZES = (1, 10, 30, 90, 300, 1000)
MANY = 90
"""From so many edits on, the line of the threshold is fitted."""
DRAWS = 6
"""Memories of one size that a question is asked of."""
LEARNT = (1, 10, 90, 400)
"""Sizes of the memories that the weights are fitted on."""
HARDEST = 2
"""Of the other edits, how many are examples of one that a question is not on."""


class Asked(NamedTuple):
    """A question beside all edits of its fold: features [edits features], its own edit, and its partner's."""

    gate: str
    kind: str
    features: np.ndarray
    own: int
    partner: int | None


class Fitted(NamedTuple):
    weights: np.ndarray
    bias: float

    def scores(self, asked: Asked) -> np.ndarray:
        return asked.features @ self.weights + self.bias


@dataclass(frozen=True)
class Folded(GatedNote):
    """A gated note without patches, whose pictures are whitened by those that its own records do not show."""

    own: tuple[EditCase, ...] = ()

    def whitening(self, backbone: Any, store: Any) -> Whitening:
        shown = {probe.query.image.key for case in self.own for probe in case.probes if probe.query.image is not None}
        images = [image for image in background() if image.key not in shown]
        vectors = torch.stack([seen(backbone, image, self.look, store=store) for image in images])
        return Whitening.of(vectors, self.settings.dimensions)


def cases_of(backbone: str) -> list[EditCase]:
    found: list[EditCase] = []
    for kind in KINDS:
        split = open_benchmark(kind, data=None).load("train", hop=1, switches=STRICT)
        asked = Request(backbone, None, (), probes="all", partners="eval")
        found += [
            replace(case, id=f"{kind} {case.id}")
            for case in with_probes(split, split.cases, asked, benchmark=kind).cases
        ]
    return found


def asked_of(
    editor: Folded, backbone: Any, cases: Sequence[EditCase], more: Sequence[Edit], store: Any
) -> Iterator[Asked]:
    """Yield every question of some records beside a memory of all their edits, and of more."""
    memory: Memory = editor.remember(backbone, [*(case.edits[0] for case in cases), *more], None, store=store)
    place = {case.id: i for i, case in enumerate(cases)}
    for own, case in enumerate(cases):
        for probe in case.probes:
            partner = place.get(f"{case.id.partition(' ')[0]} {probe.tags.get('partner')}")
            points, image = words.points_at_picture(probe.query.text), probe.query.image
            if points and image is not None:
                features = editor.picture_features(backbone, probe.query, memory, store=store)
                yield Asked("picture", probe.kind.name, features.numpy(), own, partner)
            elif not points and (image is None or words.names(probe.query.text)):
                features = editor.text_features(probe.query, memory, store=store)
                yield Asked("text", probe.kind.name, features.numpy(), own, partner)


def examples(asked: Sequence[Asked], gate: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, whether the question is on the edit, and weights of examples.

    A question is an example beside its own edit, and beside those that look most like it in memories of several sizes.
    """
    draw = np.random.default_rng(seed)
    rows, on, weight = [], [], []
    for each in asked:
        inside = each.kind in INSIDE[gate]
        if not inside and each.kind not in FAR[gate] + NEAR[gate]:
            continue
        for size in LEARNT:
            own, *others = memory(each, size, draw)
            alike = each.features[others][:, :2].sum(1)
            hardest = [others[i] for i in np.argsort(-alike)[:HARDEST]]
            rows += [each.features[i] for i in (own, *hardest)]
            on += [inside] + [False] * len(hardest)
            weight += [1.0] + [1 / HARDEST] * len(hardest)
    return np.array(rows), np.array(on), np.array(weight)


def memory(asked: Asked, size: int, draw: np.random.Generator) -> list[int]:
    """Return so many edits by chance, of which a question's own is the first; its partner is none of them."""
    others = [i for i in range(len(asked.features)) if i not in (asked.own, asked.partner)]
    return [asked.own, *draw.choice(others, min(size - 1, len(others)), replace=False).tolist()]


def fitted(asked: Sequence[Asked], gate: str) -> Fitted:
    rows, on, weight = examples([each for each in asked if each.gate == gate], gate)
    mean, deviation = rows.mean(0), rows.std(0) + 1e-9
    model = LogisticRegression(C=1.0, max_iter=1000).fit((rows - mean) / deviation, on, sample_weight=weight)
    weights = model.coef_[0] / deviation
    return Fitted(weights, float(model.intercept_[0] - weights @ mean))


class Decided(NamedTuple):
    score: float
    is_own: bool


Found = dict[tuple[str, str, int], list[Decided]]
"""Candidates by gate, kind of question, and number of edits."""


def decided(asked: Sequence[Asked], gates: Mapping[str, Fitted], seed: int = 0) -> Found:
    """Return the candidate of each question in memories of several sizes, which hold its own edit."""
    draw = np.random.default_rng(seed)
    found = defaultdict(list)
    for each in asked:
        scores = gates[each.gate].scores(each)
        for size in SIZES:
            for _ in range(1 if size == 1 else DRAWS):
                held = memory(each, size, draw)
                best = held[int(scores[held].argmax())]
                found[each.gate, each.kind, size].append(Decided(float(scores[best]), best == each.own))
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--backbone", default="smol-llava")
    options.add_argument("--device", default="cpu")
    options.add_argument("--more", type=Path, help="a file of edits that stand in the memory beside the records'")
    options.add_argument(
        "--near", type=float, nargs=2, default=(0.003, 0.06), help="accepted of near misses: text, picture"
    )
    options.add_argument("--far", type=float, nargs=2, default=(0.01, 0.01), help="accepted of unrelated questions")
    options.add_argument("--without", action="append", default=[], help="GATE.FEATURE: report also without it")
    options.add_argument("--set", action="append", default=[], help="KEY=VALUE, a setting of the editor")
    asked_for = options.parse_args()
    assignments = [f"gated-note.{each}" for each in ("steps=0", *asked_for.set)]
    changes = read_changes(assignments, None)["gated-note"]
    backbone = load_backbone(asked_for.backbone, device=asked_for.device)
    plain = make(resolve("gated-note", backbone.name, changes), STRICT, train=(), seed=0)
    cases, store = cases_of(backbone.name), store_for(backbone.device)
    fold = np.random.default_rng(0).permutation(len(cases)) % FOLDS
    more = [] if asked_for.more is None else plain_edits(asked_for.more) or []
    asked = []
    for number in range(FOLDS):
        own = [case for case, which in zip(cases, fold, strict=True) if which == number]
        editor = Folded(plain.settings, STRICT, 0, own=tuple(own))
        asked.append(list(asked_of(editor, backbone, own, more, store)))
    report(asked, asked_for)
    for feature in asked_for.without:
        print(f"\nwithout {feature}:")
        report([[blind(each, feature) for each in some] for some in asked], asked_for)


def blind(asked: Asked, without: str) -> Asked:
    """Return a question without one of its features, which is zero for every edit."""
    kept = [f"{asked.gate}.{name}" != without for name in FEATURES[asked.gate]]
    return asked._replace(features=asked.features * np.array(kept))


def report(asked: Sequence[Sequence[Asked]], options: argparse.Namespace) -> None:
    found: Found = defaultdict(list)
    for number in range(FOLDS):
        others = [each for i, some in enumerate(asked) if i != number for each in some]
        gates = {gate: fitted(others, gate) for gate in INSIDE}
        for key, each in decided(asked[number], gates).items():
            found[key] += each
    for gate in INSIDE:
        place = list(INSIDE).index(gate)
        near, far = thresholds(found, gate, options.near[place], options.far[place])
        whole = fitted([each for some in asked for each in some], gate)
        for size in SIZES:
            level = max(near, far[0] + far[1] * math.log(size))
            print(f"{gate}, {size} edits, threshold {level:.2f}:", *shares(found, gate, size, level))
        print(f"{gate}_weights = {[round(float(each), 2) for each in whole.weights]}")
        print(f"{gate}_bias = {whole.bias:.2f}\n{gate}_near = {near:.2f}\n{gate}_far = {list(far)}")


def thresholds(found: Found, gate: str, near: float, far: float) -> tuple[float, tuple[float, float]]:
    """Return the two thresholds: a quantile of near misses, and a line through quantiles of unrelated questions."""
    close = [each.score for kind in NEAR[gate] for each in found[gate, kind, 1]]
    many = [size for size in SIZES if size >= MANY]
    # Of each kind no larger share is to be accepted.
    levels = [
        max(np.quantile([each.score for each in found[gate, kind, size]], 1 - far) for kind in FAR[gate])
        for size in many
    ]
    slope, first = np.polyfit(np.log(many), levels, 1)
    # Rounded as they are printed, so that the shares are those of the printed numbers.
    return round(float(np.quantile(close, 1 - near)), 2), (round(float(first), 2), round(float(slope), 2))


def shares(found: Found, gate: str, size: int, level: float) -> Iterator[str]:
    """Yield of each kind of question what share is accepted, or is missed: rejected, or taken for another edit's."""
    for kind in sorted({kind for which, kind, _ in found if which == gate}):
        each = found[gate, kind, size]
        if kind in FAR[gate] + NEAR[gate]:
            yield f"{kind} accepted {100 * np.mean([one.score >= level for one in each]):.1f}"
        else:
            yield f"{kind} missed {100 * np.mean([not (one.score >= level and one.is_own) for one in each]):.1f}"


if __name__ == "__main__":
    main()

"""What the unedited model computed serves editors of lower layers: no layer below an edit reads a probe twice."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.editors.none.edit import NullEditor, prepare_for
from mmke.protocols import Cut, TrainableEditor
from mmke.results.timings import Timing
from mmke.running.loop import Task, run
from mmke.running.metrics import make_metrics
from mmke.running.schedule import Single
from mmke.types import STRICT, Ask, EditCase, ScoreRow
from mmke_bench.sides import Rows

SMALL = {"rank": 4, "lstm": 8, "condition": 16, "conditioner": 8}


@pytest.fixture(scope="module", params=["tiny-llava", "tiny-minigpt4", "tiny-blip2"])
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    made: ComposedBackbone = registry.factory("backbones", request.param)(
        name=request.param, dtype=torch.float32, device=torch.device("cpu")
    )
    return made


@pytest.fixture(scope="module")
def case(small_data: Path) -> EditCase:
    return open_benchmark("mmke-entity", data=small_data).load("eval", hop=1, switches=STRICT).cases[0]


def editor_of(name: str, backbone: ComposedBackbone) -> TrainableEditor:
    values = resolve(name, backbone.name, {})
    values = {**values, **{key: value for key, value in SMALL.items() if key in values}}
    made: TrainableEditor = registry.factory("editors", name)(values, STRICT, train=(), seed=0)
    made.prepare(backbone, (), store=MemoryStore())
    return made


@contextmanager
def layers_read(backbone: ComposedBackbone) -> Iterator[Counter[int]]:
    """Count how often each layer is run."""
    counted: Counter[int] = Counter()
    hooks = [
        layer.register_forward_pre_hook(lambda *_, i=i: counted.update([i]))
        for i, layer in enumerate(backbone.decoder.layers)
    ]
    yield counted
    for hook in hooks:
        hook.remove()


def score(backbone: ComposedBackbone, editor: object, case: EditCase, store: MemoryStore) -> list[ScoreRow]:
    kept = Rows()
    metrics = make_metrics(STRICT, generate=False)
    events = Single([case]).events(previous=False)
    run(Task(backbone, editor, events, metrics, None, store, 0), kept)  # type: ignore[arg-type]
    assert isinstance(kept.timing, Timing)
    return kept.rows


@pytest.mark.parametrize("name", ["mend", "ke"])
def test_behind_the_floor_the_lowest_layer_reads_the_edit_alone(
    name: str, backbone: ComposedBackbone, case: EditCase
) -> None:
    editor, store = editor_of(name, backbone), MemoryStore()
    floor = score(backbone, prepare_for(NullEditor(), [editor]), case, store)
    with layers_read(backbone) as counted:
        rows = score(backbone, editor, case, store)
    assert editor.cut(backbone).layer == 1  # type: ignore[attr-defined]
    assert counted[0] == 1
    assert floor == score(backbone, NullEditor(), case, MemoryStore())
    assert rows == score(backbone, editor, case, MemoryStore())


@pytest.mark.parametrize("name", ["mend", "ke"])
def test_without_a_floor_what_was_asked_before_the_edit_is_not_read_again(
    name: str, backbone: ComposedBackbone, case: EditCase
) -> None:
    ask = Ask()
    with layers_read(backbone) as counted, editor_of(name, backbone).open(backbone, MemoryStore()) as session:
        session.answer(case.probes, ask)
        before = counted[0]
        session.apply(case.edits)
        session.answer(case.probes, ask)
    assert counted[0] == before + 1


def test_the_floor_reads_each_layer_as_often_as_alone(backbone: ComposedBackbone, case: EditCase) -> None:
    editor, counts = editor_of("mend", backbone), []
    for floor in (NullEditor(), prepare_for(NullEditor(), [editor])):
        with layers_read(backbone) as counted:
            score(backbone, floor, case, MemoryStore())
        counts.append([counted[i] for i in range(backbone.layers)])
    assert counts[0] == counts[1]


@pytest.mark.parametrize("place", ["layer", "mlp"])
def test_a_trunk_that_was_begun_lower_has_the_same_bits(backbone: ComposedBackbone, case: EditCase, place: str) -> None:
    store, ask = MemoryStore(), Ask()
    batch = backbone.encode([probe.query for probe in case.probes], [probe.target for probe in case.probes], ask)
    cut = Cut("mlp", backbone.layers - 1)
    begun = backbone.trunk(batch, Cut(place, 1), store=store)  # type: ignore[arg-type]
    whole, rest = (backbone.trunk(batch, cut, store=store, begun=each) for each in (None, begun))
    assert all(torch.equal(one, other) for one, other in zip(whole.hidden, rest.hidden, strict=True))

"""The plain loop computes the very answers that ours does: an error in what is kept or shared would show here."""

from pathlib import Path

import pytest
from speed_kit import LATER, QUICK, lap, logged

from mmke.backbones.engine.answering import answer
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.probes.published import T_REL
from mmke.editing import sites
from mmke.editors.gated_note.pictures import background
from mmke.protocols import Backbone
from mmke.running.loading import load
from mmke.running.request import Request
from mmke.testing.folders import save_qwen2_5_vl
from mmke.types import Ask, Probe, Query, ScoreRow
from mmke_bench.plain import PlainBackbone


def assert_same(plain: list[ScoreRow], ours: list[ScoreRow]) -> None:
    """Same ids everywhere, and log-probabilities as far apart as the order of float32 sums puts them."""
    assert [(row.probe, row.metric) for row in plain] == [(row.probe, row.metric) for row in ours]
    for one, other in zip(plain, ours, strict=True):
        assert one.after is not None
        assert other.after is not None
        assert one.after.ids == other.after.ids
        assert one.after.target_logprob == pytest.approx(other.after.target_logprob, abs=1e-4)


@pytest.mark.parametrize("editor", [*QUICK, *LATER])
def test_its_rows_are_ours(backbone: ComposedBackbone, small_data: Path, editor: str) -> None:
    plain, ours = logged(backbone, editor, small_data), lap(backbone, editor, small_data)
    assert_same(list(plain.rows), list(ours.rows))


def test_they_are_on_a_hub_model_whose_positions_have_three_axes(tmp_path: Path, small_data: Path) -> None:
    save_qwen2_5_vl(tmp_path)
    backbone = load(Request(f"hf:{tmp_path}", None, ()))
    assert isinstance(backbone, ComposedBackbone)
    plain, ours = logged(backbone, "ft-llm", small_data), lap(backbone, "ft-llm", small_data)
    assert_same(list(plain.rows), list(ours.rows))


def test_it_is_asked_like_any_backbone(backbone: ComposedBackbone) -> None:
    plain = PlainBackbone(backbone)
    probes = [Probe(T_REL, Query(text), "here") for text in ("In which of the rooms is it?", "Where?")]
    assert isinstance(plain, Backbone)
    assert [a.token_ids for a in plain.answer(probes, Ask())] == [a.token_ids for a in backbone.answer(probes, Ask())]
    assert len(plain.log) == 2


def test_it_writes_what_any_backbone_writes(backbone: ComposedBackbone) -> None:
    plain, ask = PlainBackbone(backbone), Ask(decode="generate", max_new=5)
    images = [*background()[:2], background()[0], None]
    probes = [Probe(T_REL, Query("What is this?", image), "") for image in images]
    assert [a.token_ids for a in plain.answer(probes, ask)] == [a.token_ids for a in backbone.answer(probes, ask)]
    assert [forward.image for forward in plain.log] == images
    assert not any(forward.edited for forward in plain.log)


def test_it_writes_what_an_edited_backbone_writes(backbone: ComposedBackbone) -> None:
    plain, store, ask = PlainBackbone(backbone), MemoryStore(0), Ask(decode="generate", max_new=5)
    (name,) = sites.parameters(backbone, ("language.-1.mlp_out",))
    weights = {name: -backbone.module.get_parameter(name)}
    probes = [Probe(T_REL, Query("What is this?", image), "") for image in (background()[0], None)]
    written = [
        [each.token_ids for each in answer(own, probes, ask, store=store, weights=weights)] for own in (plain, backbone)
    ]
    assert written[0] == written[1] != [each.token_ids for each in backbone.answer(probes, ask)]
    assert all(forward.edited for forward in plain.log)


def test_every_step_goes_through_the_whole_model(backbone: ComposedBackbone, small_data: Path) -> None:
    steps = [forward for forward in logged(backbone, "ft-llm", small_data).log if forward.step]
    assert len(steps) == QUICK["ft-llm"]["steps"]
    assert all(forward.edited for forward in steps)


def test_every_probe_is_a_pass_of_its_own(backbone: ComposedBackbone, small_data: Path) -> None:
    run = logged(backbone, "none", small_data)
    asked = {(row.probe, row.metric) for row in run.rows}
    assert len(run.log) >= len({probe for probe, _ in asked})
    assert not any(forward.edited or forward.step for forward in run.log)


def test_the_log_of_the_floor_and_that_of_the_editor_are_kept_apart(
    backbone: ComposedBackbone, small_data: Path
) -> None:
    plain = PlainBackbone(backbone)
    run = lap(plain, "ft-llm", small_data, floor=True)
    alone = lap(PlainBackbone(backbone), "none", small_data)
    assert plain.log == []
    assert list(run.floor_log) == list(alone.log)
    assert not any(forward.edited for forward in run.floor_log)
    assert sum(forward.step for forward in run.log) == QUICK["ft-llm"]["steps"]


def test_our_side_keeps_no_log(backbone: ComposedBackbone, small_data: Path) -> None:
    run = lap(backbone, "ft-llm", small_data, floor=True)
    assert (run.floor_log, run.log) == ((), ())


def test_a_lap_says_what_floor_and_edit_cost(backbone: ComposedBackbone, small_data: Path) -> None:
    run = lap(backbone, "ft-llm", small_data, floor=True)
    assert run.floor is not None
    assert 0 < run.edit.phases["edit"] < run.edit.wall
    assert run.floor.phases["edit"] < run.edit.phases["edit"]
    assert run.seconds("wall", floor=True) == run.edit.wall + run.floor.wall
    assert run.seconds("cpu") == run.edit.cpu > 0

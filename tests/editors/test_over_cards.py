"""A model that lies over two cards: the rows of every editor are those of one card, and so are trained networks."""

from collections.abc import Iterator

import pytest
import torch
from quick import QUICK
from second_card import FIRST, SECOND, TwoCards, two_cards

from mmke import registry
from mmke.backbones.engine.cards import cards_of
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import resolve_switches
from mmke.protocols import Backbone, Editor
from mmke.running.fingerprint import fingerprint
from mmke.running.loop import Task, run
from mmke.running.metrics import make_metrics
from mmke.running.schedule import Single
from mmke.testing import ARCHITECTURES, Kit, shared_kit
from mmke.testing.kit import LIBRARY, TINY, teach
from mmke.types import PAPER, STRICT, ScoreRow, Switches
from mmke_bench.sides import Rows

EDITORS = tuple(registry.names("editors"))
TRAINED = ("serac", "mend", "ke")


@pytest.fixture
def cards() -> Iterator[TwoCards]:
    with two_cards() as made:
        yield made


def over_two(kit: Kit, name: str) -> ComposedBackbone:
    known = f"hf:{kit.folder(name)}" if name in LIBRARY else name
    made: ComposedBackbone = registry.factory("backbones", known)(
        name=known, dtype=torch.float32, device=FIRST, cards=(FIRST, SECOND)
    )
    assert set(cards_of(made.module)) == {FIRST, SECOND}
    return made


def rows(kit: Kit, backbone: Backbone, editor: Editor, switches: Switches, *, whole: bool) -> list[ScoreRow]:
    kept = Rows()
    metrics = make_metrics(switches, generate=whole)
    events = Single(kit.cases[: 2 if whole else 1]).events(previous=False)
    run(Task(backbone, editor, events, metrics, None, MemoryStore(), 0), kept)
    return kept.rows


def compared(kit: Kit, cards: TwoCards, name: str, architecture: str, switches: Switches = STRICT) -> None:
    one, laid = kit.backbone(architecture), over_two(kit, architecture)
    untouched = fingerprint(laid.module)
    assert untouched == fingerprint(one.module)
    whole = architecture == ARCHITECTURES[0]  # elsewhere one record, of which nothing is written freely
    alone = rows(kit, one, kit.editor(name, one, changes=QUICK, switches=switches), switches, whole=whole)
    before = cards.brought
    several = rows(kit, laid, kit.editor(name, laid, changes=QUICK, switches=switches), switches, whole=whole)
    assert cards.brought > before
    assert several == alone
    assert fingerprint(laid.module) == untouched


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITORS)
def test_rows_are_those_of_one_card(name: str, cards: TwoCards, request: pytest.FixtureRequest) -> None:
    compared(shared_kit(request), cards, name, "tiny-llava")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES[1:])
@pytest.mark.parametrize("name", EDITORS)
def test_rows_are_those_of_one_card_on_the_other_architectures(
    name: str, architecture: str, cards: TwoCards, request: pytest.FixtureRequest
) -> None:
    compared(shared_kit(request), cards, name, architecture)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serac", "mend", "ke", "ike"])
def test_rows_under_paper_are_those_of_one_card(name: str, cards: TwoCards, request: pytest.FixtureRequest) -> None:
    compared(shared_kit(request), cards, name, "tiny-minigpt4", resolve_switches(PAPER, name))


@pytest.mark.slow
@pytest.mark.parametrize("switches", [STRICT, PAPER], ids=["strict", "paper"])
@pytest.mark.parametrize("architecture", TINY)
@pytest.mark.parametrize("name", TRAINED)
def test_networks_are_trained_to_the_same_bits(
    name: str, architecture: str, switches: Switches, cards: TwoCards, request: pytest.FixtureRequest
) -> None:
    kit = shared_kit(request)
    trained = []
    for backbone in (kit.backbone(architecture), over_two(kit, architecture)):
        editor = kit.untrained(name, backbone, changes=QUICK, switches=switches)
        teach(editor, backbone, kit.train, 3, store=MemoryStore())
        assert editor.network is not None
        trained.append({key: tensor.cpu() for key, tensor in editor.network.state_dict().items()})
    assert cards.brought
    assert trained[0].keys() == trained[1].keys()
    for key, tensor in trained[0].items():
        assert torch.equal(tensor, trained[1][key]), key

"""Fine-tuning: the same weights as an independent optimizer gives, from the base weights each time."""

from contextlib import ExitStack

import pytest
import torch

from mmke import registry
from mmke.backbones.engine.composed import ComposedBackbone
from mmke.backbones.engine.store import MemoryStore
from mmke.editing.settings import resolve
from mmke.editing.sites import parameters
from mmke.errors import UserError
from mmke.protocols import VISION
from mmke.running.fingerprint import fingerprint
from mmke.types import (
    PAPER,
    PROTOCOLS,
    STRICT,
    Ask,
    Edit,
    EditCase,
    Query,
    Switches,
)

STEPS = 3


@pytest.fixture(params=["tiny-llava", "tiny-minigpt4", "tiny-blip2"])
def backbone(request: pytest.FixtureRequest) -> ComposedBackbone:
    name = request.param
    return registry.factory("backbones", name)(name=name, dtype=torch.float32, device=torch.device("cpu"))


def make(name: str, backbone: ComposedBackbone, switches: Switches = STRICT, **changes: object) -> object:
    settings = {**resolve(name, backbone.name, {}, protocol=switches.protocol), "steps": STEPS, **changes}
    return registry.factory("editors", name)(settings, switches, train=(), seed=0)


def edited_weights(editor: object, backbone: ComposedBackbone, case: EditCase) -> dict[str, torch.Tensor]:
    with editor.open(backbone, MemoryStore()) as session:
        session.apply(case.edits)
        return dict(session.weights)


def independently(
    backbone: ComposedBackbone, names: list[str], case: EditCase, *, rate: float, decay: float, labels: str
) -> dict[str, torch.Tensor]:
    """Fine-tune the module itself, the whole model at every step, and put it back."""
    edit = case.edits[0]
    batch = backbone.encode([edit.query], [edit.target], Ask(labels=labels))
    parameters = {name: backbone.module.get_parameter(name) for name in names}
    saved = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    optimizer = torch.optim.AdamW([p.requires_grad_() for p in parameters.values()], lr=rate, weight_decay=decay)
    target = torch.tensor(batch.encoded[0].target_ids)
    for _ in range(STEPS):
        logits = backbone.tail(backbone.trunk(batch, VISION, store=MemoryStore()), {})
        loss = -logits.log_softmax(-1).gather(1, target[:, None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    result = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        parameter.requires_grad_(requires_grad=False).copy_(saved[name])
        parameter.grad = None
    return result


@pytest.mark.parametrize(("switches", "decay"), [(STRICT, 0.0), (PAPER, 0.01)], ids=["strict", "paper"])
@pytest.mark.parametrize("name", ["ft-llm", "ft-alignment"])
def test_the_edit_is_adamw_on_the_whole_model(
    name: str, switches: Switches, decay: float, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor = make(name, backbone, switches)
    rate = editor.settings.learning_rate
    ours = edited_weights(editor, backbone, cases[0])
    theirs = independently(backbone, list(ours), cases[0], rate=rate, decay=decay, labels=switches.labels)
    for key, tensor in ours.items():
        # Adam's first steps move every weight by about the rate, however small its gradient: compare on that scale.
        assert (tensor - theirs[key]).abs().max() < 0.05 * rate * STEPS
    assert not all(torch.equal(tensor, backbone.module.get_parameter(key)) for key, tensor in ours.items())


def test_the_second_record_starts_from_the_base_weights(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    editor, store = make("ft-llm", backbone), MemoryStore()
    with editor.open(backbone, store) as session:
        session.apply(cases[0].edits)
    with editor.open(backbone, store) as session:
        session.apply(cases[1].edits)
        after_another = dict(session.weights)
    alone = edited_weights(make("ft-llm", backbone), backbone, cases[1])
    assert all(torch.equal(after_another[key], alone[key]) for key in alone)


def test_no_steps_change_nothing(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    for name in ("ft-llm", "ft-alignment"):
        with make(name, backbone, steps=0).open(backbone, MemoryStore()) as session:
            session.apply(cases[0].edits)
            said = session.answer(cases[0].probes, Ask(top=10))
        for one, other in zip(said, backbone.answer(cases[0].probes, Ask(top=10)), strict=True):
            assert one.token_ids == other.token_ids
            assert one.top_ids.tolist() == other.top_ids.tolist()


@pytest.mark.parametrize("name", ["ft-llm", "ft-alignment"])
def test_an_edit_of_no_step_leaves_every_bit_of_every_answer(
    name: str, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    ask = Ask(top=10, logprobs=True)
    with make(name, backbone, steps=0).open(backbone, MemoryStore()) as session:
        before = session.answer(cases[0].probes, ask)
        session.apply(cases[0].edits)
        after = session.answer(cases[0].probes, ask)
    assert all((one.logprobs == other.logprobs).all() for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("name", ["ft-llm", "ft-alignment"])
def test_a_batch_is_fitted_together_by_its_mean_loss(
    name: str, backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    one, other = cases[0].edits[0], cases[1].edits[0]
    editor, probes = make(name, backbone), [case.probes[0] for case in cases[:2]]
    runs = {"one": [[one]], "twice": [[one, one]], "both": [[one, other]], "in turn": [[one], [other]]}
    made, heard = {}, {}
    for key, batches in runs.items():
        with editor.open(backbone, MemoryStore()) as session:
            before = session.answer(probes, Ask())
            for batch in batches:
                session.apply(batch)
            made[key], heard[key] = session.weights, session.answer(probes, Ask())
    for key, tensor in made["one"].items():
        assert (made["twice"][key] - tensor).abs().max() < 0.05 * editor.settings.learning_rate * STEPS
        assert not torch.equal(made["both"][key], made["in turn"][key])
    assert all(b.target_logprob < a.target_logprob for b, a in zip(before, heard["both"], strict=True))


def test_ft_llm_edits_the_last_mlps_two_linears_without_biases(backbone: ComposedBackbone) -> None:
    ends = {
        "tiny-llava": {"layers.3.mlp.up_proj.weight", "layers.3.mlp.down_proj.weight"},
        "tiny-minigpt4": {"layers.3.mlp.up_proj.weight", "layers.3.mlp.down_proj.weight"},
        "tiny-blip2": {"layers.3.fc1.weight", "layers.3.fc2.weight"},
    }[backbone.name]
    names = parameters(backbone, make("ft-llm", backbone).sites)
    assert {name[name.index("layers.") :] for name in names} == ends


def test_ft_alignment_edits_all_of_the_projector_or_qformer_and_no_more(backbone: ComposedBackbone) -> None:
    names = parameters(backbone, make("ft-alignment", backbone).sites)
    where = "model.multi_modal_projector." if backbone.name == "tiny-llava" else "qformer."
    assert set(names) == {name for name, _ in backbone.module.named_parameters() if name.startswith(where)}


def test_ft_alignment_leaves_text_alone_to_the_bit(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    text_only = [probe for probe in cases[0].probes if probe.query.image is None]
    ask = Ask(top=10, logprobs=True)
    with make("ft-alignment", backbone).open(backbone, MemoryStore()) as session:
        session.apply(cases[0].edits)
        said = session.answer(text_only, ask)
    for one, other in zip(said, backbone.answer(text_only, ask), strict=True):
        assert (one.logprobs == other.logprobs).all()


def test_the_alignment_cannot_be_edited_without_a_picture(backbone: ComposedBackbone) -> None:
    with (
        make("ft-alignment", backbone).open(backbone, MemoryStore()) as session,
        pytest.raises(UserError, match="ft-alignment edits what reads the picture, and the edit 'Who' has none"),
    ):
        session.apply([Edit(Query("Who"), "nobody")])


def test_one_edited_module_may_be_lent_within_another(backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    untouched = fingerprint(backbone.module)
    with ExitStack() as lent:
        for case in cases[:2]:
            session = lent.enter_context(make("ft-llm", backbone).open(backbone, MemoryStore()))
            session.apply(case.edits)
            lent.enter_context(session.module())
        assert fingerprint(backbone.module) != untouched
    assert fingerprint(backbone.module) == untouched


def test_a_site_that_no_backbone_has_is_refused(backbone: ComposedBackbone) -> None:
    with pytest.raises(UserError, match=r"like 'language.-1.mlp_in'"):
        make("ft-llm", backbone, sites=["language.last.mlp"])
    with pytest.raises(UserError, match="4 decoder layers, so no layer 31"):
        make("ft-llm", backbone, sites=["language.31.mlp_in"]).check(backbone)


def test_layers_counted_from_either_end_are_edited_alike(
    backbone: ComposedBackbone, cases: tuple[EditCase, ...]
) -> None:
    from_the_start = make("ft-llm", backbone, sites=["language.3.mlp_in", "language.0.mlp_in"])
    mixed = make("ft-llm", backbone, sites=["language.-1.mlp_in", "language.0.mlp_in"])
    wanted, weights = (edited_weights(editor, backbone, cases[0]) for editor in (from_the_start, mixed))
    assert weights.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(weights[name], tensor)
        assert not torch.equal(tensor, backbone.module.get_parameter(name))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": -1}, "steps = -1; it counts from 0 up"),
        ({"learning_rate": -1.0}, "learning_rate = -1.0; it is a finite number, 0 or more"),
        ({"learning_rate": float("nan")}, "learning_rate = nan; it is a finite number, 0 or more"),
        (
            {"learning_rate": float("inf"), "steps": -2},
            "steps = -2; it counts from 0 up; learning_rate = inf; it is a finite number, 0 or more",
        ),
        ({"steps": True}, "steps = True is no int"),
        ({"sites": "alignment"}, "sites = 'alignment' is no list, such as"),
    ],
)
def test_values_that_no_optimizer_takes_are_refused(
    backbone: ComposedBackbone, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError) as caught:
        make("ft-llm", backbone, **changes)
    assert f"settings of ft-llm: {told}" in str(caught.value)


@pytest.mark.parametrize("name", ["ft-llm", "ft-alignment"])
def test_weight_decay_shrinks_every_weight(name: str, backbone: ComposedBackbone, cases: tuple[EditCase, ...]) -> None:
    decayed, plain = (
        edited_weights(make(name, backbone, weight_decay=decay, steps=1, learning_rate=0.1), backbone, cases[0])
        for decay in (0.5, 0.0)
    )
    for key, weight in decayed.items():
        shrunk = 0.1 * 0.5 * backbone.module.get_parameter(key)
        torch.testing.assert_close(plain[key] - weight, shrunk, rtol=1e-3, atol=1e-6)


def test_the_published_decay_is_the_optimizers_default() -> None:
    default = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))]).defaults["weight_decay"]
    for name in ("ft-llm", "ft-alignment"):
        decays = [resolve(name, "tiny-llava", {}, protocol=protocol)["weight_decay"] for protocol in PROTOCOLS]
        assert decays == [0.0, default]

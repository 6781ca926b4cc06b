"""Several GPUs for one model: how they are named, what is refused, and that peaks are those of all of them."""

import pytest
import torch

from mmke import registry
from mmke.backbones.weights.loading import RANDOM, LoadRequest, check_memory
from mmke.cli.options import _device
from mmke.cli.workers import laid_over
from mmke.errors import UserError
from mmke.running import loading
from mmke.running.devices import device_name, over_cards, resolve_device, resolve_devices
from mmke.running.loading import load_backbone
from mmke.running.measuring import Stopwatch
from mmke.running.request import Request

ONE, TWO = torch.device("cuda", 0), torch.device("cuda", 1)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H100" if device == ONE else "A100")


@pytest.mark.usefixtures("gpus")
def test_several_gpus_are_named_one_after_the_other() -> None:
    assert resolve_devices("cuda:0,cuda:1") == (ONE, TWO)
    assert resolve_devices("cuda,cuda:1") == (ONE, TWO)
    assert resolve_device("cuda:1,cuda:0") == TWO
    assert resolve_devices("cuda:0,cuda:7", elsewhere=True) == (torch.device("cuda"),)


@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("cuda:0,cuda:2", "device 'cuda:2' is not there: this PyTorch sees cuda:0 to cuda:1"),
        ("cuda,cuda:0", "device 'cuda,cuda:0' names a GPU twice"),
        ("cpu,cuda:0", "a model can be laid over several GPUs alone"),
        ("cuda:0,", "unknown device 'cuda:0,'"),
    ],
)
def test_what_cannot_be_several_gpus_is_refused(named: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        resolve_devices(named)


@pytest.mark.parametrize("named", ["cuda:0;cuda:1", "cuda:0,1", "cpu,cpu", "cuda,cuda"])
def test_the_option_names_the_ways_to_give_it(named: str) -> None:
    with pytest.raises(UserError, match=f"--device {named}: give cpu, cuda or cuda:1, or several GPUs: cuda:0,cuda:1"):
        _device(named)


def test_a_worker_that_sees_two_gpus_lays_its_model_over_both() -> None:
    assert over_cards("cuda", 2) == "cuda:0,cuda:1"
    assert over_cards("cpu", 1) == "cpu"
    with pytest.raises(UserError, match="--cards-per-worker 2 with --device cuda:1: give --device cuda"):
        over_cards("cuda:1", 2)


@pytest.mark.parametrize(("cards", "device"), [(None, "cuda"), (0.5, "cuda"), (1.0, "cuda"), (2.0, "cuda:0,cuda:1")])
def test_the_model_of_a_worker_with_several_gpus_lies_over_all(cards: float | None, device: str) -> None:
    assert laid_over(Request("a", None, (), device="cuda"), cards).device == device


@pytest.mark.usefixtures("gpus")
def test_each_model_of_gpu_is_named_once() -> None:
    assert device_name(ONE, TWO) == "H100 and A100"
    assert device_name(ONE, ONE) == "H100"


@pytest.mark.usefixtures("gpus")
def test_a_backbone_that_knows_of_one_device_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "factory", lambda _noun, _name: lambda *, device: device)
    monkeypatch.setattr(loading, "check_dtype", lambda *_: None)
    with pytest.raises(UserError, match="--device cuda:0,cuda:1: mine cannot be laid over several GPUs; name one"):
        load_backbone("mine", device="cuda:0,cuda:1")


def test_each_gpu_has_to_have_room_for_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {ONE: 8 << 30, TWO: 4 << 30}
    monkeypatch.setattr("mmke.backbones.weights.loading.free_memory", free.__getitem__)
    linears = (torch.nn.Linear(1 << 14, 1 << 15, bias=False, device="meta") for _ in range(2))
    model = torch.nn.Sequential(*linears)
    request = LoadRequest("a model", RANDOM, lambda _: torch.float32, ONE, skeleton=False, cards=(ONE, TWO))
    told = "a model takes 2.0 GiB of its 4.0 GiB of weights and about 3 GiB to work, and cuda:1 has 4.0 GiB free"
    with pytest.raises(UserError, match=told):
        check_memory(request, model, lambda name: ONE if name.startswith("0.") else TWO)


def test_peaks_of_all_gpus_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    reset: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 5 if device == ONE else 7)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 if device == ONE else 4)
    watch = Stopwatch((ONE, TWO))
    with watch.phase("edit"):
        pass
    assert reset == [ONE, TWO]
    assert watch.timing().peak_memory_bytes == 12
    assert watch.timing().peaks["edit"].allocated == 7

"""What is kept in the machine's memory comes back as it was, on the device that it was computed on."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from mmke.backbones.engine.disk import OnDisk
from mmke.backbones.engine.store import HostStore, MemoryStore, store_for
from mmke.backbones.engine.structure import moved


@dataclass(frozen=True, slots=True)
class Kept:
    hidden: tuple[Tensor, ...]
    context: dict[str, object]
    keys: tuple[int, ...] = (1, 2)


def test_a_kept_result_is_not_computed_again_and_has_the_same_bits() -> None:
    store, made = HostStore(1 << 20), []

    def make() -> Kept:
        made.append(Kept((torch.randn(3, 4),), {"mask": torch.ones(2), "cache": None}))
        return made[0]

    first, again = (store.get(("a",), make) for _ in range(2))
    assert len(made) == 1
    assert first is made[0]
    assert torch.equal(again.hidden[0], first.hidden[0])
    assert (again.keys, again.context["cache"]) == ((1, 2), None)


def test_every_tensor_is_moved_and_nothing_else_changes() -> None:
    whole = Kept((torch.ones(1),), {"mask": torch.ones(2), "name": "n"})
    there = moved(whole, torch.device("meta"))
    assert there.hidden[0].device.type == "meta"
    assert there.context["mask"].device.type == "meta"
    assert (there.context["name"], there.keys) == ("n", (1, 2))


def test_what_the_librarys_models_hand_on_stays_what_it_is() -> None:
    whole = BaseModelOutput(last_hidden_state=torch.ones(2), hidden_states=(torch.zeros(1), torch.ones(1)))
    there = moved(whole, torch.device("meta"))
    assert isinstance(there, BaseModelOutput)
    assert there.last_hidden_state.device.type == there.hidden_states[1].device.type == "meta"
    assert there.attentions is None


def test_what_leaves_the_device_is_brought_back() -> None:
    store, made = HostStore(8 * 4, on_device=4 * 4), []
    for key in ("a", "b", "a", "b", "c", "a", "b", "c"):  # one stays where it was computed, two more in the machine
        got = store.get((key,), lambda key=key: made.append(key) or torch.full((4,), float(ord(key))))  # type: ignore[misc]
        assert got.tolist() == [ord(key)] * 4
    assert made == ["a", "b", "c", "b"]


@pytest.mark.parametrize("kind", [HostStore, MemoryStore])
def test_what_was_used_longest_ago_makes_room(kind: type[HostStore] | type[MemoryStore]) -> None:
    store, made = kind(8 * 4), []
    for key in ("a", "b", "a", "c", "a", "b"):
        store.get((key,), lambda key=key: made.append(key) or torch.ones(4))  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]


def test_what_leaves_the_machines_memory_is_brought_back_from_disk() -> None:
    store, made = HostStore(8 * 4, on_device=4 * 4, below=OnDisk(1 << 20)), []
    for key in "abcdeabcdeecab":
        got = store.get((key,), lambda key=key: made.append(key) or torch.full((4,), float(ord(key))))  # type: ignore[misc]
        assert got.tolist() == [ord(key)] * 4
    assert made == list("abcde")


def test_a_processors_store_goes_on_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmke.backbones.engine.store.ON_DEVICE", 4 * 4)
    for most, wanted in ((0, "abcabc"), (512, "abcbc"), (None, "abc")):  # on disk a result takes at least 512 bytes
        store, made = store_for(torch.device("cpu"), on_disk=most), []
        for key in "abcabc":
            store.get((key,), lambda key=key, made=made: made.append(key) or torch.ones(4))  # type: ignore[misc]
        assert "".join(made) == wanted


def test_what_is_asked_for_in_turns_is_found_in_memory_as_far_as_there_is_room(tmp_path: Path) -> None:
    disk = OnDisk(folder=tmp_path)
    store, found = MemoryStore(2 * 16, disk), list[str]()
    for key in "abcd":
        store.put((key,), torch.ones(4))
    find = disk.find
    disk.find = lambda key: found.append(key[0]) or find(key)  # type: ignore[method-assign,func-returns-value]
    for key in "abcdabcd":
        assert store.find((key,)) is not None
    assert found == ["a", "b"] * 2  # the others stay, and nothing more is written
    assert disk.held == 2 * 512


@pytest.mark.gpu
def test_a_busy_card_is_not_waited_for_when_something_is_brought_back() -> None:
    store, made = HostStore(1 << 30), torch.randn(4, 1 << 20)
    assert store.get(("a",), made.cuda).is_cuda
    work = torch.randn(8192, 8192, device="cuda")
    for number in range(3):
        for _ in range(10):
            work @ work
        (asked := torch.cuda.Event()).record()
        brought = store.get(("a",), lambda: made.cuda() + 1)
        assert not asked.query()
        doubled = brought * 2
        del brought
        torch.full((4, 1 << 20), float(number), device="cuda")  # may take its memory
        assert torch.equal(doubled.cpu(), made * 2)


@pytest.mark.gpu
def test_what_leaves_a_card_for_the_disk_comes_back_to_the_card(tmp_path: Path) -> None:
    store, made = HostStore(0, below=OnDisk(folder=tmp_path, all_of_it=False)), torch.randn(4, 1 << 20)
    store.put(("a",), made.cuda())
    found = store.find(("a",))
    assert found.is_cuda
    assert torch.equal(found.cpu(), made)

"""A saved session comes back bit for bit, survives a kill at any moment, and is refused where it does not fit."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmke.errors import UserError
from mmke.protocols import EditSession, SessionState
from mmke.results.saved_session import FACTS, FORMAT, SESSION, Origin, SavedSession, read_session
from mmke.running.saved_sessions import load, save
from mmke.types import Answer, Asks, Edit, Probe

ORIGIN = Origin("ft-llm", "tiny-llava", "sha256 5", "s" * 64)
CASES = ("a", "b", "c", "d")
SHARED = torch.arange(12.0)
TENSORS = {
    "half": torch.tensor([[1.5, -2.25]], dtype=torch.bfloat16),
    "whole": SHARED,
    "part of it": SHARED[4:8],
    "turned": torch.arange(6.0).view(2, 3).T,
    "none": torch.zeros(0, 7),
    "one number": torch.tensor(3, dtype=torch.int64),
}


class Killed(BaseException):
    """The program was ended."""


class Holder:
    """A session that only holds a state."""

    def __init__(self, tensors: dict[str, Tensor], **facts: Any) -> None:
        self.held = SessionState(tensors, facts)

    def state(self) -> SessionState:
        return self.held

    def load_state(self, state: SessionState) -> None:
        if "refuse" in state.facts:
            raise UserError("ft-llm: the saved session does not fit")
        self.held = state

    def apply(self, edits: list[Edit]) -> None:
        raise NotImplementedError

    def answer(self, probes: list[Probe], ask: Asks) -> list[Answer]:
        raise NotImplementedError

    def module(self) -> AbstractContextManager[nn.Module]:
        raise NotImplementedError


def holder(tensors: dict[str, Tensor], **facts: Any) -> EditSession:
    made = Holder(tensors, **facts)
    assert isinstance(made, EditSession)
    return made


def in_force(step: int) -> tuple[str, ...] | None:
    return CASES[: step + 1] if step < len(CASES) else None


def put(folder: Path, step: int, tensors: dict[str, Tensor] = TENSORS, **facts: Any) -> None:
    save(folder, holder(tensors, **facts), ORIGIN, step=step, cases=CASES[: step + 1])


def found(folder: Path) -> SavedSession:
    saved = read_session(folder, ORIGIN, in_force=in_force)
    assert saved is not None
    return saved


def held(folder: Path) -> SessionState:
    fresh = holder({})
    load(folder, fresh, found(folder))
    return fresh.state()


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    facts = {"edits": [{"question": "what \ud800 is “it”?\u2028", "image": None}], "number": 0.1}
    put(tmp_path, 2, **facts)
    saved, state = found(tmp_path), held(tmp_path)
    assert (saved.step, saved.edits_applied) == (2, 3)
    assert state.facts == facts
    assert state.tensors.keys() == TENSORS.keys()
    assert all(same(state.tensors[name], tensor) for name, tensor in TENSORS.items())


def test_nothing_saved_is_no_session(tmp_path: Path) -> None:
    assert read_session(tmp_path, ORIGIN, in_force=in_force) is None


def test_a_newer_state_takes_the_place_of_the_older(tmp_path: Path) -> None:
    put(tmp_path, 0)
    put(tmp_path, 1, {"newer": torch.ones(2)})
    assert found(tmp_path).step == 1
    assert set(held(tmp_path).tensors) == {"newer"}
    assert len(list((tmp_path / SESSION).iterdir())) == 2


def killing(monkeypatch: pytest.MonkeyPatch, at: int) -> list[str]:
    """End the program before its `at`-th call that changes something on the disk."""
    calls: list[str] = []

    def counted(owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def call(*args: Any, **more: Any) -> Any:
            calls.append(name)
            if len(calls) == at:
                raise Killed
            return original(*args, **more)

        monkeypatch.setattr(owner, name, call)

    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (Path, "chmod"), (Path, "mkdir")):
        counted(owner, name)
    return calls


def kills(folder: Path, step: int, tensors: dict[str, Tensor]) -> Iterator[int]:
    """Save again and again, each time killed one call later, until it is done."""
    at = 0
    while True:
        at += 1
        with pytest.MonkeyPatch.context() as patch:
            calls = killing(patch, at)
            try:
                put(folder, step, tensors)
            except Killed:
                yield at
                continue
            assert len(calls) < at
            return


def test_a_kill_at_any_moment_leaves_one_complete_state(tmp_path: Path) -> None:
    put(tmp_path, 0)
    newer = {"newer": torch.ones(2)}
    steps = []
    for _ in kills(tmp_path, 1, newer):
        steps.append(found(tmp_path).step)
        assert set(held(tmp_path).tensors) == (set(newer) if steps[-1] else set(TENSORS))
    assert steps == sorted(steps)
    assert set(steps) == {0, 1}
    assert len(list((tmp_path / SESSION).iterdir())) == 2


def test_the_same_step_saved_again_with_other_bits_never_leaves_a_mixture(tmp_path: Path) -> None:
    put(tmp_path, 1)
    for _ in kills(tmp_path, 1, {"other": torch.ones(2)}):
        assert len(held(tmp_path).tensors) in (1, len(TENSORS))


def test_a_kill_of_the_first_saving_leaves_nothing_or_all(tmp_path: Path) -> None:
    for _ in kills(tmp_path, 0, TENSORS):
        saved = read_session(tmp_path, ORIGIN, in_force=in_force)
        assert saved is None or set(held(tmp_path).tensors) == set(TENSORS)


def test_a_full_disk_is_told_and_keeps_the_older_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, 0)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"No space left on device.*the state before it is kept\. Make room"):
        put(tmp_path, 1)
    assert found(tmp_path).step == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"editor": "mend"}, "of the editor 'ft-llm', and this one's is 'mend'"),
        ({"backbone": "other"}, "of the backbone 'tiny-llava', and this one's is 'other'"),
        ({"weights_revision": "sha256 6"}, "of the weights 'sha256 5', and this one's is 'sha256 6'"),
        ({"stream": "t"}, "of a stream with other settings, another order or other data"),
    ],
)
def test_the_state_of_another_origin_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    put(tmp_path, 0)
    with pytest.raises(UserError, match=f"{FACTS}.*{message}.*delete the folder .*{SESSION}, and the same command"):
        read_session(tmp_path, replace(ORIGIN, **change), in_force=in_force)


def edit_facts(folder: Path, **changes: Any) -> None:
    file = folder / SESSION / FACTS
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": FORMAT + 1}, f"it has the format {FORMAT + 1}, and this version of mmke reads {FORMAT}"),
        ({"format": None}, "it has the format None"),
        ({"step": -1}, "it is broken: step: "),
        ({"origin": {"editor": "ft-llm"}}, "it is broken: origin.backbone: Field required"),
        ({"tensors": "../rows.jsonl"}, r"its file of tensors '\.\./rows.jsonl' is missing"),
        ({"sha256": "0" * 64}, "it has the sha256 .*, and session.json states 0000000000000000…"),
        ({"step": 7}, "after other edits than those of this stream up to step 7"),
        ({"edits_applied": 1}, "after other edits"),
        ({"cases": "0" * 64}, "after other edits"),
    ],
)
def test_edited_facts_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    put(tmp_path, 1)
    edit_facts(tmp_path, **changes)
    with pytest.raises(UserError, match=f"{message}.*delete the folder"):
        found(tmp_path)


def test_facts_that_are_no_json_are_refused(tmp_path: Path) -> None:
    put(tmp_path, 1)
    file = tmp_path / SESSION / FACTS
    for content in (b"", b"{", b"[]", b"\xff", file.read_bytes()[:-5]):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"it is broken: .*delete the folder"):
            found(tmp_path)


def test_tensors_that_were_cut_off_changed_or_deleted_are_refused(tmp_path: Path) -> None:
    put(tmp_path, 1)
    file = tmp_path / SESSION / found(tmp_path).tensors
    whole = file.read_bytes()
    for content in (b"", whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(content)
        with pytest.raises(UserError, match=f"{file.name}: .*it has the sha256"):
            found(tmp_path)
    file.unlink()
    with pytest.raises(UserError, match=f"its file of tensors '{file.name}' is missing"):
        found(tmp_path)


def test_what_an_editor_cannot_load_names_the_way_out(tmp_path: Path) -> None:
    put(tmp_path, 1, refuse=True)
    with pytest.raises(UserError, match="ft-llm: the saved session does not fit; delete the folder"):
        held(tmp_path)

"""What a saved session takes."""

import torch

from mmke.editing.states import persistent_bytes
from mmke.protocols import SessionState


def test_the_bytes_of_a_state_are_its_tensors_and_its_facts_as_json() -> None:
    assert persistent_bytes(SessionState({}, {})) == len("{}")
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.float16)}
    assert persistent_bytes(SessionState(tensors, {"é": 1})) == 24 + 10 + len('{"é": 1}'.encode())

"""The sentence encoder that comes with the package chooses the partners of a run."""

from pathlib import Path

from mmke.benchmarks.probes.partners import partner_ids
from mmke.running.planning import plan
from mmke.running.request import Request


def test_the_partner_is_the_record_with_the_most_similar_old_description(tmp_path: Path) -> None:
    (cell,) = plan(Request("tiny-llava", ("none",), ("mini-user",), probes="hard", limit=3, out=tmp_path)).cells
    # A cat (0), a poodle (1) and a hamster (2) are most like a hedgehog (8), "a small animal with spines on its back".
    assert partner_ids(cell.split.cases) == {f"user-{number:05}": "user-00008" for number in range(3)}

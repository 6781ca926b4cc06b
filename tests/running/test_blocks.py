"""Records are cut into blocks that are large first and single at the end of the whole run."""

from mmke.running.shards.blocks import LARGEST, cut


def sizes(records: int, *, behind: int = 0) -> list[int]:
    return [len(block) for block in cut(records, behind=behind)]


def test_every_record_is_in_one_block_in_order() -> None:
    for records in (0, 1, 5, 60, 333):
        assert [place for block in cut(records) for place in block] == list(range(records))


def test_blocks_become_smaller_towards_the_end() -> None:
    assert sizes(60) == [7, 6, 5, 5, 4, 4, 3, 3, 2, 2, 2, 2, *[1] * 15]
    assert sizes(200)[:3] == [LARGEST] * 3


def test_they_stay_large_while_other_records_come_behind() -> None:
    assert sizes(60, behind=120) == [16, 16, 16, 12]
    assert sizes(6, behind=12) == [2, 2, 1, 1]

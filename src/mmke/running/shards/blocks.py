"""Cut the records of a benchmark into blocks, by their places in the evaluation order alone."""

from collections.abc import Iterator

LARGEST = 16
"""Records of a block. More would save little; fewer are computed again when a worker is lost."""
PARTS = 8
"""A block is at most this part of what is left: towards the end blocks become single records, so that all workers end
at about the same time."""


def cut(records: int) -> Iterator[range]:
    """Yield the places of each block, in order."""
    begin = 0
    while begin < records:
        size = min(LARGEST, max(1, (records - begin) // PARTS))
        yield range(begin, begin + size)
        begin += size

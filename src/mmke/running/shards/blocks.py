"""Cut records into blocks, by their places in the order of a whole command alone."""

from collections.abc import Iterator

LARGEST = 16
"""Records of a block. More would save little; fewer are computed again when a worker is lost."""
PARTS = 8
"""A block is at most this part of what is left: towards the end blocks become single records, so that all workers end
at about the same time."""


def cut(records: int, *, behind: int = 0) -> Iterator[range]:
    """Yield the places of each block, in order.

    Args:
        records: of one benchmark.
        behind: records that come after them, of other benchmarks and plans: while there are many, blocks are large.
    """
    begin = 0
    while begin < records:
        left = records - begin
        size = min(LARGEST, left, max(1, (left + behind) // PARTS))
        yield range(begin, begin + size)
        begin += size

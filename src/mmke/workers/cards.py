"""Which GPUs each worker of this machine sees."""

import os

from mmke.counting import counted
from mmke.errors import UserError

VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_cards() -> list[str]:
    """Return the GPUs that this process sees, as `CUDA_VISIBLE_DEVICES` names them; it imports torch."""
    import torch

    number = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:number] if named else [str(card) for card in range(number)]


def check_cards(cards: float) -> None:
    """Refuse what is no number of GPUs of a worker.

    Raises:
        UserError: it is neither whole nor a fraction of one.
    """
    if not (0 < cards <= 1 or (cards > 1 and float(cards).is_integer())):
        raise UserError(
            f"--cards-per-worker {cards:g}: give 1, a whole number where a model needs several, or a fraction such as "
            "0.5, with which two workers share one"
        )


def workers_on(visible: list[str], cards: float) -> int:
    """Return for how many workers there are cards."""
    return len(visible) * _sharing(cards) if cards < 1 else len(visible) // int(cards)


def how_many_on_cards(count: int | None, *, cards: float, visible: list[str], jobs: int) -> int:
    """Return how many workers to start on the GPUs of this machine.

    Args:
        count: as the user gave it; None: as many as there are GPUs for.
        cards: GPUs of each worker.
        visible: see `visible_cards`.
        jobs: more workers than jobs are of no use.

    Raises:
        UserError: there are too few GPUs.
    """
    check_cards(cards)
    most = workers_on(visible, cards)
    if most < (count or 1):
        raise UserError(
            f"{counted(count or 1, 'worker')} with {cards:g} of the GPUs each, and {len(visible)} can be seen here; "
            f"give --workers {max(most, 1)}, or less with --cards-per-worker (0.5: two workers share one)"
        )
    return min(count or most, max(jobs, 1))


def cards_of(worker: int, cards: float, visible: list[str]) -> str:
    """Return a worker's `CUDA_VISIBLE_DEVICES`."""
    if cards < 1:
        return visible[worker // _sharing(cards)]
    begin = worker * int(cards)
    return ",".join(visible[begin : begin + int(cards)])


def _sharing(cards: float) -> int:
    """Return how many workers share one GPU."""
    return int(1 / cards + 1e-9)  # 1 / 0.1 is a little less than ten in some fractions

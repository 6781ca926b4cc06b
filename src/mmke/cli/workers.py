"""What a command's options say of workers."""

from dataclasses import replace
from typing import TYPE_CHECKING

from mmke.errors import UserError
from mmke.workers.cards import check_cards
from mmke.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from mmke.running.request import Request
    from mmke.training.train import TrainRequest


def worker_settings(
    request: "Request | TrainRequest", count: int | None, *, ray: str | None, cards: float | None, threads: int | None
) -> WorkerSettings:
    """Return what was asked for. On GPUs it is this process alone where nothing was said.

    Raises:
        UserError: GPUs of a worker that computes on the processor.
    """
    on_cards = request.device != "cpu"
    if cards is not None and not on_cards:
        raise UserError(
            f"--cards-per-worker {cards:g} is for GPUs, and --device is cpu; leave it out, or give --device cuda"
        )
    if count is None and on_cards and ray is None and cards is None:
        count = 1
    return WorkerSettings(
        count=count,
        ray=ray,
        cards=1.0 if cards is None else cards,
        device=request.device,
        threads=threads or 1,
        folder=request.out,
    )


def laid_over(request: "Request", cards: float | None) -> "Request":
    """Return the request of workers that see so many GPUs each: with several, the model is laid over all of them.

    Raises:
        UserError: it is no number of GPUs, or the device names one already.
    """
    if cards is None or cards <= 1:
        return request
    from mmke.running.devices import over_cards

    check_cards(cards)
    return replace(request, device=over_cards(request.device, int(cards)))

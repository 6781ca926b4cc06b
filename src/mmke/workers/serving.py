"""What every worker does, whoever started it: set itself up, and do a job.

In: the settings, and jobs. Out: what the worker is, and how each job ended. Pools differ only in how workers are
started, and in how jobs come and results leave.
"""

import logging
import os
import pickle
import sys
import traceback

from mmke.errors import UserError
from mmke.threads import limit_threads
from mmke.workers.protocols import Desk, Done, Facts, Failed, Job
from mmke.workers.settings import WorkerSettings

BROKEN = 70
"""Exit code of a worker whose GPU computes nothing more after an error."""

logger = logging.getLogger(__name__)


def set_up(settings: WorkerSettings) -> Facts:
    """Let this process compute with the threads and the part of a card that are its own, and return what it is.

    Call it in the thread that will compute, before anything has imported torch.
    """
    limit_threads(settings.threads)
    import torch

    from mmke.workers.facts import own_facts

    limit_threads(settings.threads)  # now PyTorch is imported, which has a number of its own
    if settings.device.startswith("cuda") and settings.cards < 1:
        # Workers that share a card would otherwise take each other's memory.
        for card in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(settings.cards, card)
    return own_facts()


def do(job: Job, desk: Desk) -> Done | Failed:
    """Do a job, and return how it ended; a process whose GPU is broken ends with the code `BROKEN`."""
    logger.info("begins %s", job.name)
    try:
        job.do(desk)
    except Exception as error:
        if not isinstance(error, UserError):
            logger.exception("%s ended with an error", job.name)
            _end_if_broken()
        return Failed(desk.number, _picklable(error), traceback.format_exc())
    return Done(desk.number)


def write_log() -> None:
    """Let messages go to the standard error output, which is a worker's log."""
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("mmke").setLevel(logging.INFO)


def end(code: int) -> None:
    """End this process at once."""
    # Not `sys.exit`: it would wait for what other threads compute.
    logging.shutdown()
    os._exit(code)


def _picklable(error: Exception) -> Exception:
    """Return an error, or a `RuntimeError` with its text where it cannot be sent to another process."""
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever its class does when it is pickled
        copy = None
    return error if type(copy) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


def _end_if_broken() -> None:
    """End the process where an error has left the GPU unusable: all later jobs would fail too."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return
    try:
        torch.cuda.synchronize()
    except Exception:
        logger.exception("the GPU computes nothing more in this process")
        end(BROKEN)

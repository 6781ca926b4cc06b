"""What every worker does, whoever started it: set itself up, and do a job.

In: the settings, and jobs. Out: how each job ended. Pools differ only in how jobs come and how results leave.
"""

import pickle
import traceback

from mmke.threads import limit_threads
from mmke.workers.protocols import Desk, Done, Facts, Failed, Job
from mmke.workers.settings import WorkerSettings


def set_up(settings: WorkerSettings) -> Facts:
    """Let this process compute with the threads and the part of a card that are its own, and return what it is.

    Call it in the thread that will compute, before anything has imported torch.
    """
    limit_threads(settings.threads)
    import torch

    from mmke.workers.facts import own_facts

    limit_threads(settings.threads)
    if settings.device.startswith("cuda") and settings.cards < 1:
        # Workers that share a card would otherwise take each other's memory.
        for card in range(torch.cuda.device_count()):
            torch.cuda.set_per_process_memory_fraction(settings.cards, card)
    return own_facts()


def do(job: Job, desk: Desk) -> Done | Failed:
    """Do a job, and return how it ended."""
    try:
        job.do(desk)
    except Exception as error:  # noqa: BLE001 - whoever gave the job decides what follows
        return Failed(desk.number, _picklable(error), traceback.format_exc())
    return Done(desk.number)


def _picklable(error: Exception) -> Exception:
    """Return an error as it arrives in another process, or one with its text where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - an error of another library can fail in any way
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

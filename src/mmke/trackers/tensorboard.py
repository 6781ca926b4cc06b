"""TensorBoard: event files in the results folder. Needs the extra `mmke[tensorboard]`."""

import re
from pathlib import Path

from mmke.errors import UserError
from mmke.trackers.protocol import Tracked, Tracker

FOLDER = "tensorboard"


def make(*, project: str, folder: Path) -> Tracker:
    """TensorBoard's event files, in the results folder."""
    try:
        import tensorboardX  # noqa: F401 - whether it is there, told before anything is run
    except ModuleNotFoundError as error:
        raise UserError("the tracker tensorboard needs tensorboardX: pip install 'mmke[tensorboard]'") from error
    return _TensorBoard(folder / FOLDER)


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, run: Tracked) -> str:
        """Write one event file; it takes the place of an earlier one of the same run."""
        from mmke.events import EventFile

        folder = self._folder / re.sub(r"[^\w.=-]+", "-", run.name)
        try:
            for earlier in folder.glob("events.out.tfevents.*"):
                earlier.unlink()
            file = EventFile(folder, records=-1)
            for point in run.points:
                file.add("curve", point.step, point.figures)
            file.add("summary", max((point.step for point in run.points), default=0), run.summary)
            file.close()
        except OSError as error:
            raise UserError(f"{folder} cannot be written ({error.strerror}); name another results folder") from error
        return str(folder)

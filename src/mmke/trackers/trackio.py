"""Trackio: a data base on this machine, and `trackio show` for a page of it. Needs the extra `mmke[trackio]`."""

from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.trackers.protocol import Tracked, Tracker


def make(*, project: str, folder: Path) -> Tracker:
    """Trackio, which keeps runs on this machine (trackio show)."""
    try:
        import trackio
    except ModuleNotFoundError as error:
        raise UserError(f"the tracker trackio needs {error.name}: pip install 'mmke[trackio]'") from error
    return _Trackio(trackio, project)


class _Trackio:
    def __init__(self, trackio: Any, project: str) -> None:
        self._trackio, self._project = trackio, project

    def send(self, run: Tracked) -> str:
        """Add one run; sent again it is another one of the same name."""
        try:
            self._trackio.init(
                project=self._project, name=run.name, group=run.group, config=dict(run.config), embed=False
            )
            for point in run.points[:-1]:
                self._trackio.log(dict(point.figures), step=point.step)
            last = run.points[-1:]  # trackio shows a run's last figures as its summary
            figures = {**(last[0].figures if last else {}), **run.summary}
            self._trackio.log(figures, step=last[0].step if last else 0)
            self._trackio.finish()
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"trackio: {run.name!r} was not sent: {' '.join(str(error).split())}") from error
        return f"trackio show --project {self._project}: {run.name}"

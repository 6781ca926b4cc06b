"""Weights & Biases. Needs the extra `mmke[wandb]`; without a network: WANDB_MODE=offline."""

import os
from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.trackers.protocol import Tracked, Tracker


def make(*, project: str, folder: Path) -> Tracker:
    """Weights & Biases; without a network in the mode offline, whose files `wandb sync` sends later."""
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise UserError(f"the tracker wandb needs {error.name}: pip install 'mmke[wandb]'") from error
    # Looked for before anything is run; the library's own question for a key would wait at the end of a long run.
    offline = os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun")
    if not offline and not wandb.login(prompt=False, verify=False):
        raise UserError("the tracker wandb has no key: wandb login, or WANDB_API_KEY, or WANDB_MODE=offline")
    return _WeightsAndBiases(wandb, project, folder)


class _WeightsAndBiases:
    def __init__(self, wandb: Any, project: str, folder: Path) -> None:
        self._wandb, self._project, self._folder = wandb, project, folder

    def send(self, run: Tracked) -> str:
        """Send one run; one that is there already gets the new figures."""
        try:
            sent = self._wandb.init(
                project=self._project,
                name=run.name,
                group=run.group,
                id=run.id,
                resume="allow",
                config=dict(run.config),
                dir=str(self._folder),
                settings=self._wandb.Settings(silent=True, console="off"),
            )
            for point in run.points:
                sent.log(dict(point.figures), step=point.step)
            sent.summary.update(dict(run.summary))
            seen = Path(sent.dir).parent if sent.offline else sent.url
            sent.finish()
        except (self._wandb.Error, OSError) as error:
            raise UserError(f"wandb: {run.name!r} was not sent: {' '.join(str(error).split())}") from error
        return str(seen)

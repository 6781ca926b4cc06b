"""What of a results folder is sent: the files of its runs that the results format names, and a card; nothing else."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mmke.counting import counted
from mmke.errors import UserError
from mmke.hub import Parcel
from mmke.report.sharing.card import card
from mmke.results.run_json import RUN, read_run

FILES = (
    RUN,
    "cases.jsonl",
    "answers.jsonl",
    "timings.jsonl",
    "rows.jsonl",
    "steps.jsonl",
    "states.jsonl",
    "abilities.jsonl",
)
"""Of a run. A saved session, which holds weights, locks and what is void stay here."""
CARD = "README.md"


@contextmanager
def parcel_of(folder: Path, repo: str, *, private: bool) -> Iterator[Parcel]:
    """Give what is to be sent of a results folder, which is only read.

    Raises:
        UserError: it holds no run, or a file in it is broken.
    """
    runs = [file.parent for file in sorted(folder.rglob(RUN))]
    if not runs:
        raise UserError(f"there are no results below {folder}; name the --out of a run")
    told = {str(run.relative_to(folder)): read_run(run) or {} for run in runs}
    with TemporaryDirectory(prefix="mmke-push-") as name:
        staged = Path(name)
        for run in runs:
            for file in (run / each for each in FILES if (run / each).is_file()):
                target = staged / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)  # a copy: a run that goes on must not change what is being sent
        (staged / CARD).write_text(card(folder, told, title=repo.rpartition("/")[2]), encoding="utf-8")
        message = f"Results of {counted(len(runs), 'run')} of mmke"
        yield Parcel(staged, repo, str(folder), message, private=private)

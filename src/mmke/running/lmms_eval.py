"""lmms-eval asks a session, in the same process: its tasks, its prompts and its metrics, our model with edits in force.

In: whatever answers, and names of tasks. Out: the figures of lmms-eval by task and metric.

What is particular to lmms-eval 0.7: it deletes every module that a model has as an attribute when it ends (`clean`), so
the session stands in a closure; it seeds Python, numpy and torch for the whole process, so their states are put back;
its own cache of answers knows nothing of an edit, so it is never used; and it patches filelock before version 4, whose
locks are re-entrant by themselves.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from mmke.abilities.lmms_task import write_task
from mmke.abilities.question import Suite
from mmke.errors import UserError, did_you_mean
from mmke.protocols import Answerer, EditSession, TakesOwnEdits
from mmke.running.abilities import KIND, WRITING
from mmke.running.asking import answers_of
from mmke.running.generators import generators_kept
from mmke.types import Answer, Ask, ImageRef, Probe, Query

USUAL_TOKENS = 128
"""Of an answer, where a task names no number."""
WITHOUT_CHANGE = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")
"""Pillow's modes that a PNG holds as they are."""

Figures = dict[str, dict[str, float]]
"""By task and metric."""

logger = logging.getLogger(__name__)


def check_installed() -> None:
    """Refuse to go on without lmms-eval.

    Raises:
        UserError: it is not installed, or a package that it needs is not.
    """
    _library()


def evaluate(
    answerer: Answerer | EditSession,
    tasks: Sequence[str],
    *,
    limit: int = 0,
    include: Path | None = None,
    suite: Suite | None = None,
) -> Figures:
    """Let lmms-eval ask, and return its figures.

    Args:
        answerer: a backbone, or a session.
        tasks: names; `mmke_held_out` is `suite`.
        limit: the first questions of each task; 0: all.
        include: a folder with further tasks.
        suite: the questions of `mmke_held_out`.

    Raises:
        UserError: lmms-eval is not installed, there is no task of a name, or a task asks what cannot be asked.
    """
    evaluator, manager_of, lmms = _library()
    if isinstance(answerer, TakesOwnEdits):
        answerer.take_own_edits(())
    with tempfile.TemporaryDirectory(prefix="mmke-lmms-eval-") as name, generators_kept():
        folder = Path(name)
        own = folder / "tasks"
        own.mkdir()
        if suite is not None:
            write_task(own, suite, most=WRITING.max_new)
        places = [str(own), *([] if include is None else [str(include)])]
        manager = manager_of(include_path=places, include_defaults=False)
        if not set(tasks) <= set(manager.all_tasks):
            # Those that come with it: hundreds of folders, which are read only where one of them is asked.
            manager = manager_of(include_path=places, include_defaults=True)
        _check_tasks(tasks, manager.all_tasks)
        found = evaluator.simple_evaluate(
            model=_loaded(lmms, _Asking(answerer, folder)),
            tasks=list(tasks),
            task_manager=manager,
            batch_size=1,
            limit=limit or None,
            log_samples=False,
            use_cache=None,
        )
    return {task: _numbers(plain) for task, plain in found["results"].items()}


def _library() -> tuple[Any, Any, Any]:
    """Return the evaluator, the class of task managers and the class of models of lmms-eval.

    Raises:
        UserError: it is not installed, or a package that it needs is not.
    """
    try:
        from lmms_eval import evaluator
        from lmms_eval.api.model import lmms
        from lmms_eval.tasks import TaskManager
    except ModuleNotFoundError as error:
        raise UserError(
            f"--with lmms-eval needs the Python package {error.name!r}; run: pip install 'mmke[lmms-eval]'"
        ) from error
    if _filelock_is_new():
        evaluator._enable_reentrant_filelocks._patched = True  # noqa: SLF001 - it would import what filelock 4 has not
    return evaluator, TaskManager, lmms


def _filelock_is_new() -> bool:
    from importlib.metadata import version

    return int(version("filelock").partition(".")[0]) >= 4


def _check_tasks(tasks: Sequence[str], known: Sequence[str]) -> None:
    for name in tasks:
        if name not in known:
            raise UserError(f"lmms-eval has no task {name!r}{did_you_mean(name, known)}; --include DIR adds your own")


class _Asking:
    """Asks one question of lmms-eval after the other."""

    def __init__(self, answerer: Answerer | EditSession, folder: Path) -> None:
        self._answerer, self._folder = answerer, folder

    def write(self, context: str, visuals: Sequence[Any], wanted: Mapping[str, Any]) -> str:
        """Return what the model writes, up to a text that ends it."""
        most = int(wanted.get("max_new_tokens") or USUAL_TOKENS)
        with self._probe(context, visuals, "") as probe:
            answer = self._one(probe, Ask(decode="generate", max_new=most))
        until = wanted.get("until") or ()
        stops = [until] if isinstance(until, str) else [stop for stop in until if stop]
        return answer.text[: min((p for stop in stops if (p := answer.text.find(stop)) >= 0), default=None)]

    def weigh(self, context: str, visuals: Sequence[Any], target: str) -> tuple[float, bool]:
        """Return the log-probability of a continuation in nats, and whether the model would write it."""
        with self._probe(context, visuals, target.strip()) as probe:
            answer = self._one(probe, Ask())
        if answer.reason is not None:
            return float("-inf"), False
        return answer.target_logprob * len(answer.target_ids), answer.token_ids == answer.target_ids

    def _one(self, probe: Probe, ask: Ask) -> Answer:
        (answer,) = answers_of(self._answerer, [probe], [ask])
        if answer.reason is not None:
            logger.warning("%r cannot be asked and counts as unanswered: %s", probe.query.text[:80], answer.reason)
        return answer

    @contextmanager
    def _probe(self, context: str, visuals: Sequence[Any], target: str) -> Iterator[Probe]:
        """Yield a question whose picture is a file for so long."""
        pictures = [each for each in visuals if each is not None]
        if len(pictures) > 1 or not all(isinstance(each, Image.Image) for each in pictures):
            raise UserError(
                "a task shows several pictures, or something else than pictures, to one question, and a model here is "
                "asked about one picture at a time; leave that task out"
            )
        if not pictures:
            yield Probe(KIND, Query(context), target)
            return
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".png") as file:
            picture = pictures[0] if pictures[0].mode in WITHOUT_CHANGE else pictures[0].convert("RGB")
            picture.save(file, "PNG")
            file.flush()
            path = Path(file.name)
            yield Probe(KIND, Query(context, ImageRef(path, hashlib.sha256(path.read_bytes()).hexdigest())), target)


def _loaded(lmms: Any, asking: _Asking) -> Any:
    """Return the model that lmms-eval sees."""

    class Loaded(lmms):  # type: ignore[misc]
        is_simple = True

        def __init__(self, write: Callable[..., str], weigh: Callable[..., tuple[float, bool]]) -> None:
            super().__init__()
            self._write, self._weigh = write, weigh

        def _visuals(self, doc_to_visual: Any, doc_id: Any, task: str, split: str) -> Sequence[Any]:
            return doc_to_visual(self.task_dict[task][split][doc_id]) if doc_to_visual is not None else ()

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            """Write an answer to each request."""
            return [
                self._write(context, self._visuals(*place) or (), wanted)
                for context, wanted, *place in (request.args for request in requests)
            ]

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            """Weigh the continuation of each request."""
            found = []
            for context, target, *place in (request.args for request in requests):
                doc_to_visual, doc_id, task, split = place
                text = target if isinstance(target, str) else target(self.task_dict[task][split][doc_id])
                found.append(self._weigh(context, self._visuals(doc_to_visual, doc_id, task, split) or (), text))
            return found

        def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
            raise UserError("a task asks in several rounds, which a model here has not; leave that task out")

    return Loaded(asking.write, asking.weigh)


def _numbers(plain: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a task; its keys are `metric,filter`."""
    numbers = {key: value for key, value in plain.items() if "," in key and isinstance(value, int | float)}
    return {
        key.removesuffix(",none"): float(value)
        for key, value in numbers.items()
        if not key.partition(",")[0].endswith(("_stderr", "_stderr_clt", "_stderr_clustered"))
    }

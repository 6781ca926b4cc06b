"""Read a results folder's streams, one editor in one order each: their tracks, steps, states and what is missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmke.errors import UserError
from mmke.report.aggregates import with_aggregates
from mmke.report.cells import FLOOR, stream_folders
from mmke.report.figures import Scale
from mmke.report.streams.curves import Track
from mmke.report.streams.decisions import with_decisions
from mmke.report.streams.plan import Plan
from mmke.report.streams.tracks import tracks_of
from mmke.report.tags import TagOf, tags_of
from mmke.results.abilities import AbilityRecord, read_abilities
from mmke.results.described import columns_of, kinds_of
from mmke.results.finished import FinishedRecord, read_finished
from mmke.results.run_json import RUN, read_run
from mmke.results.states import StateRecord, read_states
from mmke.results.steps import StepRecord, read_steps

Key = tuple[str, str, int, str, str]
"""What one table is of: backbone, benchmark, hop, protocol and schedule."""


@dataclass(frozen=True, slots=True)
class StreamRun:
    """One stream's folder: one editor in one order of the edits.

    Attributes:
        folder: where it lies.
        run: what `run.json` holds.
        plan: what it was asked for.
        order_seed: of the order; None of the unedited model, which is the same in every order.
        records: finished, each a case in a state.
        steps: in their order.
        states: examined for signs of collapse, in their order.
        tracks: by column and case.
        abilities: what was answered to questions besides those of the records, state by state.
    """

    folder: Path
    run: Mapping[str, Any]
    plan: Plan
    order_seed: int | None
    records: Sequence[FinishedRecord]
    steps: Sequence[StepRecord]
    states: Sequence[StateRecord]
    tracks: Mapping[str, Mapping[str, Track]]
    abilities: Sequence[AbilityRecord] = ()

    @property
    def key(self) -> Key:
        """What the table is of in which it stands."""
        run = self.run
        return (run["backbone"], run["benchmark"], run["hop"], run["protocol"], run["schedule"])

    @property
    def editor(self) -> str:
        """The editor's name."""
        return str(self.run["editor"])

    @property
    def seed(self) -> int:
        """The seed of the run, which is not that of the order."""
        return int(self.run["seed"])

    @property
    def scale(self) -> Scale:
        """The run's kinds and columns."""
        return Scale(kinds_of(self.run), columns_of(self.run))

    def beside(self, floor: "StreamRun | None") -> "StreamRun":
        """Return the run with the unedited model's scores for floors where its rows tell none, as those of locality."""
        if floor is None or floor is self:
            return self
        tracks = {
            column: {
                case: track._replace(floor=flat.scores[0])
                if track.floor is None and (flat := floor.tracks.get(column, {}).get(case)) is not None
                else track
                for case, track in cases.items()
            }
            for column, cases in self.tracks.items()
        }
        return replace(self, tracks=tracks)

    @property
    def missing(self) -> str | None:
        """What the stream was asked for and has not scored yet, in words; None: nothing."""
        if self.editor == FLOOR:
            cases = len({record.case_id for record in self.records})
            return f"{cases} of {self.plan.tests} cases" if cases < self.plan.tests else None
        seen = {(record.key.edits_applied, record.rows[0].position or 0) for record in self.records}
        states = {state for state, position in seen if position <= state}
        ages = [record.key.edits_applied - (record.rows[0].position or 0) for record in self.records]
        lacking = [f"state {state}" for state in self.plan.asked.checkpoints if state not in states]
        if not self.plan.first_of_group:
            lacking += [
                f"{ages.count(gap)} of {self.plan.tests} cases {'right' if gap == 0 else f'at gap {gap}'}"
                for gap in self.plan.gaps
                if ages.count(gap) < self.plan.tests
            ]
        return "; ".join([*lacking, *self._end_missing(lacking)]) or None

    def _end_missing(self, lacking: Sequence[str]) -> Iterator[str]:
        """Say how many cases were asked in the last state, where that is not told yet and is known."""
        last = self.plan.last
        if lacking or not self.plan.asked.end or self.plan.first_of_group or last is None or self.plan.reset:
            return
        wanted = min(self.plan.panel or self.plan.tests, self.plan.tests)
        cases = {record.case_id for record in self.records if record.key.edits_applied == last}
        if len(cases) < wanted:
            yield f"{len(cases)} of {wanted} cases in state {last}"


def read_runs(out: Path, *, by: str | None = None, only: Sequence[Path] | None = None) -> list[StreamRun]:
    """Read every stream below a folder, also while it is being written.

    Args:
        out: a results folder, or any folder inside one.
        by: a tag of the probes; each of its values gets columns of its own, such as `i_gen[held-out]`.
        only: read these streams' folders instead of all below `out`.

    Raises:
        UserError: no stream there, two of one editor and order, a broken file, or a tag that no probe has.
    """
    folders = stream_folders(out) if only is None else list(only)
    if not folders:
        raise UserError(f"no streams below {out}; name the --out of one, or make one: mmke stream --out {out}")
    tags = {} if by is None else tags_of(folders, by)
    runs: dict[tuple[Any, ...], StreamRun] = {}
    for folder in folders:
        found = _read(folder, tags.get(folder))
        place = (*found.key, found.run["editor"], found.run["seed"], found.order_seed)
        if place in runs:
            raise UserError(f"{runs[place].folder} and {folder} are streams of the same cell; name the folder of one")
        runs[place] = found
    return list(runs.values())


def _read(folder: Path, tag_of: TagOf | None) -> StreamRun:
    run = read_run(folder) or {}
    try:
        plan = Plan.of(run["stream"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder / RUN}: the settings of the stream lack {error}; restore the file, or delete the folder and run "
            "again"
        ) from error
    kinds, steps = kinds_of(run), read_steps(folder)
    records = with_decisions(with_aggregates(read_finished(folder), kinds), kinds)
    return StreamRun(
        folder=folder,
        run=run,
        plan=plan,
        order_seed=run.get("order_seed"),
        records=records,
        steps=steps,
        states=read_states(folder),
        tracks=tracks_of(records, plan.ends(steps), tag_of=tag_of),
        abilities=read_abilities(folder),
    )

"""The text of a dry run: the cells, what they will cost, and what is not known."""

from collections.abc import Iterator, Sequence

from mmke.counting import counted
from mmke.grid.estimate import HERE, Estimate, Part
from mmke.grid.states import State
from mmke.grid.trainings import key_of
from mmke.running.request import FLOOR

LARGEST = 6
"""Parts that are told."""


def shown(states: Sequence[State], found: Estimate, *, on: str) -> str:
    """Return the text of a dry run; `on` is the device, in a word of the user."""
    return "\n".join([*_table(states), "", *_hours(found, on), *_disk(found), *_unknown(found)])


def _table(states: Sequence[State]) -> Iterator[str]:
    """Yield a table of backbones and editors: how far their cells are."""
    cells = [state for state in states if state.cell.editor != FLOOR]
    floors = len(states) - len(cells)
    yield f"{counted(len(cells), 'cell')} and {counted(floors, 'floor')}; records:"
    yield from (f"  {line}" for line in dict.fromkeys(map(_records, states)))
    editors = list(dict.fromkeys(state.cell.editor for state in states))
    rows = [["", *editors]]
    for backbone in dict.fromkeys(state.cell.backbone for state in states):
        own = [state for state in states if state.cell.backbone == backbone]
        rows.append([backbone, *(_far([each for each in own if each.cell.editor == name]) for name in editors)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield ""
    yield from ("  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    trainings = {key_of(state.training) for state in states if state.training is not None}
    if trainings:
        yield f"*: trained first ({counted(len(trainings), 'training')})"


def _records(state: State) -> str:
    cell = state.cell
    schedule = "" if cell.schedule == "single" else f", {cell.schedule}"
    place = f"{cell.benchmark}, hop {cell.hop}, {cell.protocol}{schedule}"
    if state.records is None:
        return f"{place}: not known, since its data are not there"
    return f"{place}: {state.records}" + ("" if state.counted else " (as others counted them: the data are not there)")


def _far(states: Sequence[State]) -> str:
    """Say how far the cells of a backbone and an editor are, together."""
    if not states:
        return "-"
    mark = "*" if any(state.training for state in states) else ""
    finished = sum(state.finished for state in states)
    if any(state.records is None for state in states):
        return f"{finished} of ?{mark}"
    records = sum(state.records or 0 for state in states)
    return f"{'finished' if finished == records else f'{finished} of {records}'}{mark}"


def _hours(found: Estimate, on: str) -> Iterator[str]:
    unit = "card-hours" if on.startswith("cuda") else "hours of one worker"
    sources = dict.fromkeys(part.source for part in found.seconds)
    measured = f" (measured on {', '.join(sources)})" if sources else ""
    yield f"estimate on {on}: {found.hours:.1f} {unit}{' at least' if found.unknown else ''}{measured}"
    for what in ("records", "training", "loading"):
        parts = [part for part in found.seconds if part.what == what]
        if parts:
            yield f"  {what}: {_hours_of(parts):.1f}"
    if found.seconds:
        told = [f"{name} {seconds / 3600:.1f}" for name, seconds in _largest(found.seconds, LARGEST)]
        yield f"  largest: {', '.join(told)}"
    if any(part.what == "training" for part in found.seconds):
        yield "  trainings count with all their steps; MEND and SERAC can stop earlier"
    if found.validated:
        yield f"  not counted, since not measured: up to {found.validated} records in validations of trainings"
    for differs in dict.fromkeys(part.differs for part in found.seconds if part.differs):
        hours = _hours_of([part for part in found.seconds if part.differs == differs])
        yield f"  {hours:.1f} of these hours are from measurements of another {differs}"


def _hours_of(parts: Sequence[Part]) -> float:
    return sum(part.amount for part in parts) / 3600


def _disk(found: Estimate) -> Iterator[str]:
    for what, of in (("records", "results"), ("training", "checkpoints")):
        parts = [part.amount for part in found.bytes if part.what == what]
        if parts:
            yield f"disk: {sum(parts) / 2**30:.2f} GiB of {of}"


def _unknown(found: Estimate) -> Iterator[str]:
    """Yield what is not known: a figure that several editors and backbones lack alike is one line."""
    if not found.unknown:
        return
    yield f"unknown, and not in these sums (a run of a few records tells, which is then in {HERE}):"
    backbones: dict[tuple[str, str], list[str]] = {}
    for each in dict.fromkeys(found.unknown):
        backbones.setdefault((each.what, each.editor), []).append(each.backbone)
    editors: dict[tuple[str, str], list[str]] = {}
    for (what, editor), names in backbones.items():
        editors.setdefault((what, " ".join(names).strip()), []).append(editor)
    for (what, backbone), those in editors.items():
        of = " ".join(those).strip()
        on = f" on {backbone}" if backbone else ""
        yield f"  {what}: {of}{on}" if of else f"  {what} {backbone}".rstrip()


def _largest(parts: Sequence[Part], count: int) -> Iterator[tuple[str, float]]:
    """Yield the largest sums over parts of the same kind, backbone and editor, with what they are of."""
    sums: dict[str, float] = {}
    for part in parts:
        what = {"records": part.editor, "training": f"training of {part.editor}", "loading": "loading"}[part.what]
        sums[f"{what} on {part.backbone}"] = sums.get(f"{what} on {part.backbone}", 0.0) + part.amount
    yield from sorted(sums.items(), key=lambda each: -each[1])[:count]

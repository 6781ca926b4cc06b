"""A part of a grid: `--only backbone=llava-1.5-7b --only editor=ike`.

In: what the user wrote. Out: for each axis the values that are kept. Values of one axis add up; axes cut each other.
"""

from collections.abc import Mapping, Sequence

from mmke.errors import UserError, did_you_mean
from mmke.grid.tables import GridFile

AXES: Mapping[str, str] = {
    "backbone": "backbones",
    "editor": "editors",
    "benchmark": "benchmarks",
    "hop": "hops",
    "protocol": "protocols",
    "seed": "seeds",
}
"""What can stand before `=`, and the key of the file that it chooses from."""


def narrowed(grid: GridFile, choices: Sequence[str]) -> GridFile:
    """Return the part of a grid that was chosen; what its trainings see is left as it is.

    Raises:
        UserError: another form, an unknown axis, or a value that the grid does not have.
    """
    kept: dict[str, list[str]] = {}
    for choice in choices:
        axis, equals, value = choice.partition("=")
        if not equals or not value:
            raise UserError(f"--only {choice!r} is not of the form AXIS=VALUE, such as editor=ike")
        if axis not in AXES:
            raise UserError(f"--only {choice}: unknown axis {axis!r}{did_you_mean(axis, AXES)}; take {', '.join(AXES)}")
        known = [str(each) for each in _values(grid, axis)]
        if value not in known:
            raise UserError(
                f"--only {choice}: the grid has no {axis} {value!r}{did_you_mean(value, known)}; it has "
                f"{', '.join(known)}"
            )
        kept.setdefault(axis, []).append(value)
    changes = {AXES[axis]: _chosen(getattr(grid, AXES[axis]), values) for axis, values in kept.items()}
    own = {key: value for key, value in changes.items() if key in ("editors", "benchmarks")}
    streams = tuple(
        each.model_copy(
            update={
                key: _chosen(getattr(each, key), kept[key.removesuffix("s")])
                for key in own
                if getattr(each, key) is not None
            }
        )
        for each in grid.streams
    )
    return grid.model_copy(update={**changes, "streams": streams})


def _values(grid: GridFile, axis: str) -> Sequence[object]:
    further = [value for each in grid.streams for value in getattr(each, AXES[axis], None) or ()]
    return tuple(dict.fromkeys([*getattr(grid, AXES[axis]), *further]))


def _chosen(values: Sequence[object], kept: Sequence[str]) -> tuple[object, ...]:
    return tuple(value for value in values if str(value) in kept)

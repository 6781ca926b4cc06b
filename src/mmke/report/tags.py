"""Break figures down by a tag of the probes, such as `rephrase_style`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmke.errors import UserError
from mmke.results.finished import read_cases
from mmke.types import ScoreRow

TagOf = Callable[[ScoreRow], str | None]
"""The value of one tag of the probe of a row; None: it has none."""


def tags_of(folders: Sequence[Path], by: str) -> dict[Path, TagOf]:
    """Return, run by run, a function that tells a row's value of a tag.

    Raises:
        UserError: no probe has this tag.
    """
    probes = {
        folder: {
            (id_, i): probe for id_, kept in read_cases(folder).items() for i, probe in enumerate(kept.case.probes)
        }
        for folder in folders
    }
    known = {tag for each in probes.values() for probe in each.values() for tag in probe.tags}
    if by not in known:
        raise UserError(f"no probe has the tag {by!r}; these results have {', '.join(sorted(known)) or 'none'}")
    return {
        folder: _finder({place: probe.tags[by] for place, probe in each.items() if by in probe.tags})
        for folder, each in probes.items()
    }


def _finder(tags: Mapping[tuple[str, int], str]) -> TagOf:
    return lambda row: None if row.probe is None else tags.get((row.case_id, row.probe))

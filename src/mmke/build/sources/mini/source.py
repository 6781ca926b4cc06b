"""The source `mini`: openly licensed drawings and plain facts that come with mmke, so that everything runs offline.

Countries' facts are those of the npm packages `world-countries` (ODbL 1.0) and `flag-icons`; the others were written
for mmke. Drawings are of emoji sets, flag sets and the Open Clip Art Library, each under its own licence.
`recipes/building` makes the files and says how many there are.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from mmke.build.content import Kind, Thing
from mmke.build.project import Project
from mmke.build.protocols import FoundThing, Source
from mmke.build.sources.mini.shipped import Pictures, read_lines
from mmke.errors import UserError, did_you_mean


class Line(BaseModel):
    """One line of `things/<kind>.jsonl`: a thing, and the paths of its pictures in the package."""

    thing: Thing
    pictures: tuple[str, ...]


class Mini:
    """The things of one kind of knowledge, and of some types."""

    name = "mini"
    by: Mapping[str, str] = {"source": "mini"}

    def __init__(self, kind: Kind, types: Sequence[str]) -> None:
        """Read the things; `types` are those that are wanted, all where there are none.

        Raises:
            UserError: a type that the kind does not have.
        """
        lines = read_lines(f"things/{kind}.jsonl", Line)
        known = list(dict.fromkeys(line.thing.type for line in lines))
        for wanted in types:
            if wanted not in known:
                near = did_you_mean(wanted, known)
                raise UserError(
                    f"types: source 'mini' has no {wanted!r} of kind {kind!r}{near}; it has {', '.join(known)}"
                )
        self._lines = {line.thing.id: line for line in lines if not types or line.thing.type in types}
        self._pictures = Pictures()

    def list(self) -> Sequence[str]:
        """Return the ids of all things."""
        return list(self._lines)

    def find(self, id_: str) -> FoundThing:
        """Return a thing with its drawings, each by another artist."""
        line = self._lines[id_]
        return FoundThing(line.thing, tuple(self._pictures.find(path) for path in line.pictures))


def make(project: Project) -> Source:
    """Drawings and plain facts that come with mmke: no network is needed."""
    return Mini(project.settings.kind, project.settings.types)

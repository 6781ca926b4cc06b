"""What is written into an exported folder: a project's own kind, the other kinds' files, and what is said of all."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmke.build.content import Kind
from mmke.build.export.card import card, title_of
from mmke.build.export.chosen import Chosen
from mmke.build.export.citation import citation
from mmke.build.export.folder import MADE_BY, MANIFEST
from mmke.build.export.pictures import origins, told_pictures
from mmke.build.export.provenance import record_lines, verdict_lines
from mmke.build.export.published import FOLDERS, annotation
from mmke.build.export.sides import Sides
from mmke.build.project import Project
from mmke.digests import sha256
from mmke.errors import UserError
from mmke.lines import to_line, write_file


def write(project: Project, chosen: Chosen, sides: Sides, folder: Path, *, names: bool) -> dict[str, dict[str, Any]]:
    """Write everything of a project's own kind, and return what the manifest says of its pictures."""
    name, records = FOLDERS[project.settings.kind], chosen.records
    for side in ("train", "eval"):
        found = [
            annotation(record, tags={"verified": chosen.standings[record.id].state})
            for record in records
            if sides.of[record.id] == side
        ]
        _put(folder / "data_json" / f"{name}_{side}.json", _json(found))
    pictures = told_pictures(records, {entry.id: entry.content for entry in project.pictures})
    for path in pictures:
        target = folder / "data_image" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(project.pictures_folder / target.name, target)
    _put_lines(folder / "provenance" / f"{name}.jsonl", record_lines(project, records, chosen.standings, sides))
    _put_lines(folder / "verdicts" / f"{name}.jsonl", verdict_lines(project, names=names))
    return pictures


def carry(to: Path, folder: Path, before: Mapping[str, Any], kind: Kind) -> None:
    """Take the other kinds' files along from an earlier export."""
    others = [FOLDERS[other] for other in before.get("parts", {}) if other != kind]
    kept = [path for path in before.get("files", {}) if _kind_of(path) in others]
    for path in kept:
        if not (to / path).is_file():
            raise UserError(f"{to} lacks {path}, which an earlier export wrote; export into a new folder")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(to / path, target)


def _kind_of(path: str) -> str | None:
    """Return which kind a file of an export is of; None where it is of all."""
    head, *rest = Path(path).parts
    if head == "data_image":
        return rest[0]
    return Path(path).stem.removesuffix("_train").removesuffix("_eval") if rest else None


def describe(folder: Path, before: Mapping[str, Any], part: Mapping[str, Any], pictures: Mapping[str, Any]) -> None:
    """Write what is said of the whole folder: card, citation, attributions and manifest."""
    kind: Kind = part["kind"]
    found = {**before.get("parts", {}), kind: part}
    parts = {name: found[name] for name in FOLDERS if name in found}
    others = {
        path: told for path, told in before.get("pictures", {}).items() if not path.startswith(f"{FOLDERS[kind]}/")
    }
    shown = dict(sorted({**others, **pictures}.items()))
    told = list(parts.values())
    _put(folder / "README.md", card(told, shown))
    _put(folder / "CITATION.cff", citation(title_of(told), told))
    _put(folder / "ATTRIBUTION.md", _attributions(shown))
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    digests = {path: sha256(folder / path) for path in files}
    _put(folder / MANIFEST, _json({"made_by": MADE_BY, "parts": parts, "pictures": shown, "files": digests}))


def _attributions(pictures: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["# Pictures by others", "", "| picture | author | licence | origin |", "|---|---|---|---|"]
    for each in sorted(origins(pictures), key=lambda each: each["picture"]):
        cells = (each["picture"], each["author"] or "not stated", each["licence"], each["origin"])
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _json(plain: object) -> str:
    return json.dumps(plain, ensure_ascii=False, indent=1) + "\n"


def _put_lines(file: Path, plain: Sequence[Mapping[str, Any]]) -> None:
    _put(file, b"".join(to_line(each) for each in plain))


def _put(file: Path, content: str | bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, content.encode() if isinstance(content, str) else content)

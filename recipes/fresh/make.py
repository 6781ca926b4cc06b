"""Make a fresh set: evaluation records by `mmke build`, of things and pictures that no mini benchmark shows.

    python recipes/fresh/make.py [--build build/pictures] [--work build/fresh] [--out build/fresh-set]
    python recipes/fresh/make.py --text recipes/fresh/text-2 --out build/fresh-set-2

The second set, of other tables, shows nothing of the first, which must be in `build/fresh-set`. Another run writes the
same bytes. `--out` can be given to `mmke run --data`, whose benchmarks are then mmke-entity, mmke-visual and mmke-user.
Their training records are those of the mini benchmarks, so that whatever is chosen, trained or shown as an example is
the same as there.
"""

import argparse
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from folder import TEXT, Folder, Origins, edited, load, shown, spares
from listed import PICTURES, manifest

from mmke.build.content import Kind
from mmke.build.export.chosen import choose
from mmke.build.export.folder import read_manifest, replaced
from mmke.build.export.part import part_of
from mmke.build.export.published import FOLDERS
from mmke.build.export.sides import Sides
from mmke.build.export.writing import carry, describe, write
from mmke.build.new import new
from mmke.build.project import open_project
from mmke.build.records import records as records_of
from mmke.build.run import refused_file, run

MINI = Path("src/mmke/benchmarks/mini")
HERE = Path(__file__).parent
FIRST = Path("build/fresh-set")
SETTINGS = {
    "count": "80",
    "facts": '"facts.csv"',  # of [ask]; that of [collect] is below
    "pictures": '"own"',
}
"""Lines of `build.toml` that differ from what `mmke build new` writes."""


class Quiet:
    """Shows no progress: a stage takes seconds."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Begin a stage."""

    def step(self) -> None:
        """Take a step."""


def begin(project: Path, kind: Kind, types: Sequence[str], text: Path) -> None:
    """Start a project as a user would, and change its settings."""
    file = new(project, kind=kind, source="folder", name="fresh")
    plain = file.read_text(encoding="utf-8")
    plain = re.sub(r"^facts = 2$", "facts = 0", plain, flags=re.MULTILINE)
    for key, value in {**SETTINGS, "types": json.dumps(list(types))}.items():
        plain = re.sub(rf"^{key} = (?!0$).*$", lambda _, line=f"{key} = {value}": line, plain, flags=re.MULTILINE)
    words = [(folder / "words.toml").read_text(encoding="utf-8") for folder in dict.fromkeys((TEXT, text))]
    file.write_text("\n".join([plain, *words]), encoding="utf-8")
    shutil.copyfile(text / "facts.csv", project / "facts.csv")


def build(kind: Kind, things: Folder, project: Path, out: Path, text: Path) -> None:
    """Make the records of one kind and write them, with the training records of the mini benchmark of this kind."""
    rows = edited(kind, things.build, text)
    begin(project, kind, list(dict.fromkeys(row.type for row in rows)), text)
    things.write([*rows, *spares(kind, text)], project / "things")
    with open_project(project) as opened:
        made = run(opened, Quiet())
        for stage in made.outcomes:
            if refused_file(project, stage).is_file():
                print(f"{kind} {stage}:", refused_file(project, stage).read_text(encoding="utf-8"), sep="\n")
        chosen = choose(opened, records_of(opened), unverified=True)
        for record, reason in chosen.left_out.items():
            print(f"left out: {record}: {reason}")
        # `mmke build export` divides the records among two splits; here all of them are for evaluation.
        sides = Sides({each.id: "eval" for each in chosen.records}, {each.id: 0 for each in chosen.records}, ())
        with replaced(out) as folder:
            before = read_manifest(out)
            pictures = write(opened, chosen, sides, folder, names=False)
            add_training(FOLDERS[kind], folder)
            carry(out, folder, before, kind)
            describe(folder, before, part_of(opened, chosen, sides, unverified=True), pictures)
    print(f"{kind}: {len(chosen.records)} records of {len(rows)} things")


def add_training(name: str, out: Path) -> None:
    """Put the training records of the mini benchmark of a kind in the place of the empty training split."""
    file = MINI / "data_json" / f"{name}_train.json"
    shutil.copyfile(file, out / "data_json" / file.name)
    for record in _read(file):
        for path in (record[field] for field in PICTURES if field in record):
            shutil.copyfile(MINI / "data_image" / path, out / "data_image" / path)


def main() -> None:
    """Build everything, and write down what it shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=Path("build/pictures"))
    parser.add_argument("--work", type=Path, default=Path("build/fresh"))
    parser.add_argument("--out", type=Path, default=FIRST)
    parser.add_argument("--text", type=Path, default=TEXT, help="folder of the set's tables")
    args = parser.parse_args()
    second = args.text.resolve() != TEXT.resolve()
    if second and (args.out == FIRST or not FIRST.is_dir()):
        parser.error(f"another set needs the first in {FIRST}, and another --out")
    for folder in (args.work, args.out):
        shutil.rmtree(folder, ignore_errors=True)
    catalogue = load(args.build)
    mini: Mapping[str, Any] = _read(MINI / "data_image/manifest.json")
    taken = {part["thing"] for parts in mini["pictures"].values() for part in parts}
    before = [MINI / "data_image"]
    if second:
        taken |= set(_read(HERE / "manifest.json")["things"].values())
        before.append(FIRST / "data_image")
    origins, known = Origins(catalogue, args.build), shown(before)
    things: dict[str, str] = {}
    for kind in FOLDERS:
        written = Folder(catalogue, origins, args.build, known, frozenset(taken))
        build(kind, written, args.work / kind, args.out, args.text)
        things |= written.keys
    _write(manifest(things, args.out), HERE / f"{args.text.name.replace('text', 'manifest')}.json")


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write(plain: object, file: Path) -> None:
    file.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

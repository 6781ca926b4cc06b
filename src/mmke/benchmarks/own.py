"""One's own file of records as a benchmark, in any of the formats that are read.

Pictures are relative to the folder `data_image` (or VLKEB's `VLKEB_images`) beside the file or beside the file's
`data_json` folder, else to the file's own folder; `--data DIR` puts DIR in the place of that folder. The training split
is the sibling `…_train.json` of `…_eval.json`, or `train.json` of `eval.json`; without one it is empty, which editors
that need examples refuse.
"""

from pathlib import Path

from mmke.benchmarks.annotations import LINES
from mmke.benchmarks.formats import vlkeb
from mmke.benchmarks.splits import AnnotationBenchmark, SplitName, open_annotations
from mmke.errors import UserError

SUFFIXES = (".json", LINES)
PICTURES = ("data_image", vlkeb.PICTURES)
SHOWN = 5
"""How many files of a folder are named."""


def looks_like_a_path(name: str) -> bool:
    """Tell whether a name that is not registered means a file or a folder."""
    path = Path(name).expanduser()
    return bool(path.suffix) or any(mark in name for mark in "/\\~") or path.exists()


def load(*, name: str, data: Path | None) -> AnnotationBenchmark:
    """Open the file whose path is `name`; results carry its file name.

    Raises:
        UserError: there is no such file, or it is no file of records.
    """
    file = Path(name).expanduser()
    if file.is_dir():
        raise UserError(_instead_of_folder(file))
    if not file.is_file():
        raise UserError(
            f"no benchmark file {name!r} (looked for {file.absolute()}); mmke ls benchmarks lists the named ones"
        )
    if file.suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{name} is no benchmark file: records are read from {' and '.join(SUFFIXES)}, as one JSON list or as one "
            "JSON object a line"
        )
    files: dict[SplitName, Path] = {"eval": file}
    training = _training_file(file)
    if training is not None:
        files["train"] = training
    return open_annotations(file.name, files=files, pictures=_picture_folder(file, data))


def _instead_of_folder(folder: Path) -> str:
    kinds = sorted({found.name.partition("_")[0] for found in (folder / "data_json").glob("*_eval.json")})
    if kinds:
        names = ", ".join(f"--benchmark mmke-{kind}" for kind in kinds)
        return f"{folder} is a folder, and a benchmark is a name or a file; give --data {folder} with {names}"
    found = sorted(file for suffix in SUFFIXES for file in folder.glob(f"*{suffix}"))
    files = ", ".join(map(str, found[:SHOWN])) + ", …" * (len(found) > SHOWN) or f"none of {' or '.join(SUFFIXES)}"
    return f"{folder} is a folder, and a benchmark is a name or a file; files in it: {files}"


def _training_file(file: Path) -> Path | None:
    stem, suffix = file.stem, file.suffix
    if stem != "eval" and not stem.endswith("_eval"):
        return None
    sibling = file.with_name(f"{stem.removesuffix('eval')}train{suffix}")
    return sibling if sibling.is_file() else None


def _picture_folder(file: Path, data: Path | None) -> Path:
    folder = file.parent if data is None else data
    beside = [folder / name for name in PICTURES]
    if data is None and file.parent.resolve().name == "data_json":
        beside += [folder / ".." / name for name in PICTURES]
    return next((found for found in beside if found.is_dir()), folder)

"""One's own JSON file in the published format as a benchmark.

Pictures are relative to the folder `data_image` beside the file (or beside the file's `data_json` folder),
else to the file's own folder; `--data DIR` puts DIR in the place of that folder. The training split is the
sibling `…_train.json` of `…_eval.json`, or `train.json` of `eval.json`; without one it is empty, which
editors that need examples refuse.
"""

from pathlib import Path

from mmke.benchmarks.splits import AnnotationBenchmark, SplitName, open_annotations
from mmke.errors import UserError


def load(*, name: str, data: Path | None) -> AnnotationBenchmark:
    """Open the file whose path is `name`; results carry its file name.

    Raises:
        UserError: there is no such file.
    """
    file = Path(name)
    if not file.is_file():
        raise UserError(
            f"no benchmark file {name!r} (looked for {file.absolute()}); mmke ls benchmarks lists the named ones"
        )
    files: dict[SplitName, Path] = {"eval": file}
    training = _training_file(file)
    if training is not None:
        files["train"] = training
    return open_annotations(file.name, files=files, pictures=_picture_folder(file, data))


def _training_file(file: Path) -> Path | None:
    if file.name != "eval.json" and not file.name.endswith("_eval.json"):
        return None
    sibling = file.with_name(file.name.removesuffix("eval.json") + "train.json")
    return sibling if sibling.is_file() else None


def _picture_folder(file: Path, data: Path | None) -> Path:
    folder = file.parent if data is None else data
    beside = [folder / "data_image"]
    if data is None and file.parent.resolve().name == "data_json":
        beside.append(folder / ".." / "data_image")
    return next((found for found in beside if found.is_dir()), folder)

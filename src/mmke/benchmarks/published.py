"""MMKE-Bench: visual entities, visual semantics and user-specific knowledge.

Paper: arXiv:2502.19870. Data: the hub's dataset `kailinjiang/MMKE-Bench-dataset`, whose page states no
licence (seen 2025); ask its authors before passing the pictures on. It comes to the user's disk by `mmke
fetch mmke` or by hand and is never part of this package.

Records (train / eval), as others counted them: entity 636 / 955, visual 214 / 293, user 331 / 511. They are
not asserted here; `mmke check` prints the counts of what is on the disk. sha256 of `entity_train.json` as
seen by others: 1c1ed7d25bbcfcf52ba315217970d33b09f36265e5742ef98567a04946b60edc. Entity records all have
exactly one 1-hop question.

Two layouts of the annotation files are in use, `data_json/entity_eval.json` (the hub's) and
`data_json/entity/eval.json` (the published README's); the first is looked for first.
"""

from pathlib import Path

from mmke.benchmarks.splits import AnnotationBenchmark, SplitName, open_annotations
from mmke.errors import UserError

HUB_DATASET = "kailinjiang/MMKE-Bench-dataset"
SPLITS: tuple[SplitName, ...] = ("train", "eval")


def load(*, name: str, data: Path | None) -> AnnotationBenchmark:
    """Open `mmke-entity`, `mmke-visual` or `mmke-user` below the folder `data`, by default the current one.

    Raises:
        UserError: annotation files are missing; the message says which were looked for and how to get them.
    """
    kind = name.removeprefix("mmke-")
    root = data if data is not None else Path()
    found = {split: _existing(_candidates(root, kind, split)) for split in SPLITS}
    files = {split: file for split, file in found.items() if file is not None}
    if len(files) < len(SPLITS):
        lacking = [split for split in SPLITS if split not in files]
        raise UserError(_how_to_get(name, root, lacking, data=data))
    return open_annotations(name, files=files, pictures=root / "data_image")


def _candidates(root: Path, kind: str, split: SplitName) -> tuple[Path, Path]:
    return root / "data_json" / f"{kind}_{split}.json", root / "data_json" / kind / f"{split}.json"


def _existing(candidates: tuple[Path, ...]) -> Path | None:
    return next((file for file in candidates if file.is_file()), None)


def _how_to_get(name: str, root: Path, lacking: list[SplitName], *, data: Path | None) -> str:
    kind, to = name.removeprefix("mmke-"), "DIR" if data is None else str(data)
    looked_for = "\n".join(f"  {' or '.join(map(str, _candidates(root, kind, split)))}" for split in lacking)
    return (
        f"{name}: annotation files are missing under {root.absolute()}; looked for\n{looked_for}\n"
        f"Get them with: mmke fetch mmke --to {to} (the hub's dataset {HUB_DATASET}), then give --data {to}.\n"
        f"Without a network, copy by hand: {to}/data_json/{kind}_train.json, {to}/data_json/{kind}_eval.json "
        f"and the pictures as {to}/data_image/{kind}/…"
    )

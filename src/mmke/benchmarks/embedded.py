"""mini: a small benchmark that comes with the package, in the published file format.

Entities (flags, animals, buildings and other things that have facts), visual semantics (gestures, signals,
signs) and made-up users' belongings, drawn by several artists, so that the other picture of a thing is
another artist's. Licences: `mini/data_image/manifest.json` names the source, artist and licence of each
picture. How it was made, and the counts of each split: `recipes/mini`.
"""

from pathlib import Path

from mmke.benchmarks.splits import AnnotationBenchmark, open_annotations

FOLDER = Path(__file__).parent / "mini"


def load(*, name: str, data: Path | None) -> AnnotationBenchmark:
    """Open `mini-entity`, `mini-visual` or `mini-user`; `data` is for other benchmarks."""
    annotations = FOLDER / "data_json"
    kind = name.removeprefix("mini-")
    return open_annotations(
        name,
        files={"train": annotations / f"{kind}_train.json", "eval": annotations / f"{kind}_eval.json"},
        pictures=FOLDER / "data_image",
    )

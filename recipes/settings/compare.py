"""Tell whether some settings of an editor are better than others, on the same training records as `choose.py`.

Printed for each: the mean of the six published metrics and its standard error; then how much better the first is than
each of the others, with the standard error of the difference. Records are drawn with replacement, as many of each kind,
the same ones for all settings:

    python recipes/settings/compare.py --editor m-ore rank=128,step=0.06 rank=384,step=0.03 --records 6
"""

import argparse
import random
from statistics import stdev

from choose import BENCHMARKS, edited, score

from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import read_changes
from mmke.running.loading import load_backbone
from mmke.types import STRICT

DRAWS = 400


def main() -> None:
    """Print one line for each setting, and one for each difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smol-llava")
    parser.add_argument("--editor", required=True)
    parser.add_argument("settings", nargs="+", metavar="KEY=VALUE,…", help="laid over the shipped settings")
    parser.add_argument("--records", type=int, default=6, help="edited records of each kind")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.backbone, device=arguments.device)
    splits = [open_benchmark(name, data=None).load("train", hop=1, switches=STRICT).cases for name in BENCHMARKS]
    tried = []
    for text in arguments.settings:
        changes = read_changes([f"{arguments.editor}.{each}" for each in text.split(",")], None)[arguments.editor]
        tried.append(edited(backbone, arguments.editor, changes, splits, arguments.records)[0])
        print(f"{text}: {score(tried[-1])[0]:.2f}", flush=True)
    draw = random.Random(0)  # noqa: S311 - which records are drawn
    count = len(tried[0]) // len(splits)
    means = []
    for _ in range(DRAWS):
        places = [start + draw.randrange(count) for start in range(0, len(tried[0]), count) for _ in range(count)]
        means.append([score([records[place] for place in places])[0] for records in tried])
    first = arguments.settings[0]
    for number, text in enumerate(arguments.settings):
        print(f"standard error of {text}: {stdev(each[number] for each in means):.2f}")
    for number, text in enumerate(arguments.settings[1:], 1):
        better = score(tried[0])[0] - score(tried[number])[0]
        print(f"{first} over {text}: {better:.2f} ± {stdev(each[0] - each[number] for each in means):.2f}")


if __name__ == "__main__":
    main()

"""Measure how far apart the keys of training edits lie, for the radius of GRACE's entries.

The keys are those of the edits of mini's training records, of all three kinds. Printed for each site: the median of the
distances between two of them, and their 5 per cent quantile, which is the setting `radius`.

    python recipes/settings/radius.py --backbone smol-llava --site language.-3.mlp_out --out radii.jsonl
"""

import argparse
import json
from pathlib import Path

import torch

from mmke import registry
from mmke.backbones.engine.store import MemoryStore
from mmke.benchmarks.open import open_benchmark
from mmke.editing.settings import resolve
from mmke.protocols import Backbone
from mmke.running.loading import load_backbone
from mmke.types import STRICT, Query

BENCHMARKS = ("mini-entity", "mini-visual", "mini-user")


def main() -> None:
    """Measure at each site and append one line a site."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="smol-llava")
    parser.add_argument("--site", action="append", required=True)
    parser.add_argument("--records", type=int, help="of each kind, the first ones of the file; default: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    backbone = load_backbone(arguments.backbone, device=arguments.device)
    splits = [open_benchmark(name, data=None).load("train", hop=1, switches=STRICT).cases for name in BENCHMARKS]
    queries = [edit.query for cases in splits for case in cases[: arguments.records] for edit in case.edits]
    for site in arguments.site:
        found = {"site": site, "keys": len(queries), **_distances(backbone, site, queries)}
        line = {"backbone": arguments.backbone, "device": arguments.device, **found}
        print(json.dumps(line), flush=True)
        with arguments.out.open("a") as out:
            out.write(json.dumps(line) + "\n")


def _distances(backbone: Backbone, site: str, queries: list[Query]) -> dict[str, float]:
    editor = registry.factory("editors", "grace")(
        resolve("grace", backbone.name, {"site": site}), STRICT, train=(), seed=0
    )
    store = MemoryStore()
    with torch.no_grad():
        keys = torch.stack([editor.key(backbone, query, store=store).float() for query in queries])
    distances = torch.pdist(keys)
    return {"median": float(distances.median()), "quantile_5": float(distances.quantile(0.05))}


if __name__ == "__main__":
    main()

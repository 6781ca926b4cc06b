"""Training steps on records that were seen before: the GPU's own work, and how long they take, recorded and not.

For each editor and each way one JSON line: milliseconds of a step over whole epochs (`wall`), those of the kernels in
it (`kernels`, by the library's profiler), their number, and what a recording takes of the GPU's memory. Both ways take
the same steps from the same networks; a last line says whether these have the same bits afterwards.

python benchmarks/recorded_steps.py --backbone llava-1.5-7b --weights random --device cuda --out recorded.jsonl
"""

import argparse
import gc
import json
import logging
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mmke.backbones.engine.replay import deterministic
from mmke.backbones.engine.store import HostStore
from mmke.editing.settings import read_changes
from mmke.protocols import Backbone, Store, TrainableEditor
from mmke.running.devices import device_name, resolve_device
from mmke.running.loading import load
from mmke.running.planning import Cell
from mmke.running.request import Request
from mmke.training.recording import Recorder
from mmke.training.step import Optimization, take_step
from mmke.types import EditCase
from mmke_bench.bench import BenchRequest, lay_out, resolve_pairs

EDITORS = ("ke", "mend", "serac")
EPOCHS = 6
"""The first is on new records, in the second they are recorded; the last one is profiled, and the others are timed."""
WITHOUT_A_HUB = ("serac.encoder=random", "serac.picture_head=0")


def main() -> None:
    """Measure and print; what goes wrong with one editor is told, and the next one is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="llava-1.5-7b")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--words", type=int, default=76)
    parser.add_argument("--records", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=280.0, help="no editor is begun after so many")
    parser.add_argument("--editor", action="append")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("recorded.jsonl"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    began = time.monotonic()
    torch.set_num_threads(1)
    changes = read_changes([*WITHOUT_A_HUB, *given.set], None)
    weights: Any = "random" if given.weights == "random" else Path(given.weights)
    backbone: Backbone | None = None
    with given.out.open("a", encoding="utf-8") as file:
        for name in given.editor or EDITORS:
            if time.monotonic() - began > given.seconds:
                break
            request = Request(
                given.backbone,
                (name,),
                ("mini-entity",),
                device=given.device,
                weights=weights,
                changes={name: changes.get(name, {})},
            )
            try:
                cell = resolve_pairs(BenchRequest(request, records=1, words=given.words))[0].cell
                backbone = backbone or load(request)
                lines: Iterator[Mapping[str, Any]] = measured(cell, backbone, given.records)
                for line in lines:
                    told(file, {"editor": name, "device": device_name(resolve_device(given.device)), **line})
            except Exception:  # noqa: BLE001 - the others are measured all the same
                told(file, {"editor": name, "error": traceback.format_exc()})
            gc.collect()
            if given.device.startswith("cuda"):
                torch.cuda.empty_cache()


def told(file: Any, line: Mapping[str, Any]) -> None:
    """Print a line and write it, at once."""
    print(json.dumps(line), flush=True)
    file.write(json.dumps(line) + "\n")
    file.flush()


def measured(cell: Cell, backbone: Backbone, records: int) -> Iterator[Mapping[str, Any]]:
    """Yield what one editor's steps take, first computed anew and then recorded, and whether the networks are equal."""
    made = []
    for recorded in (False, True):
        line, networks = steps(cell, backbone, records, recorded=recorded)
        made.append(networks)
        yield line
    others = [name for name, tensor in made[0].items() if not torch.equal(tensor, made[1][name])]
    apart = max([float((made[0][name].double() - made[1][name].double()).abs().max()) for name in others], default=0.0)
    yield {"equal": not others, "others": others[:5], "apart": apart, "tensors": len(made[0])}


def steps(
    cell: Cell, backbone: Backbone, records: int, *, recorded: bool
) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """Return what the steps take in one way, and the networks behind them."""
    editor: Any = cell.editor
    looped: Any = backbone
    cases = list(lay_out(cell, looped, looped))[:records]
    optimizer, schedule = editor.optimizer()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    recorder = Recorder(parameters) if recorded and backbone.device.type == "cuda" else None
    optimization, store = Optimization(optimizer, schedule, recorder), HostStore()
    number = editor.training.gradient_accumulation_steps
    groups = [cases[i : i + number] for i in range(0, len(cases), number)]
    seconds, processor, free = [], [], [free_memory(backbone)]
    with deterministic(backbone.device):
        for _ in range(EPOCHS - 1):
            wall, own = time.perf_counter(), time.process_time()
            epoch(editor, backbone, groups, optimization, store)
            seconds.append((time.perf_counter() - wall) / len(groups))
            processor.append((time.process_time() - own) / len(groups))
            free.append(free_memory(backbone))
        with profile(
            activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * backbone.device.type.count("cuda")]
        ) as seen:
            epoch(editor, backbone, groups, optimization, store)
    on_gpu = [each for each in seen.events() if each.device_type != torch.autograd.DeviceType.CPU]
    # A range that the library names, such as a step of the optimizer, is no kernel.
    kernels = [each for each in on_gpu if not getattr(each, "is_user_annotation", False)]
    work = sum(each.time_range.elapsed_us() for each in kernels) / 1000 / len(groups)
    wall = 1000 * min(seconds[2:])
    line = {
        "recorded": recorded,
        "records_a_step": number,
        "wall_ms": round(wall, 2),
        "kernels_ms": round(work, 2),
        "ratio": round(wall / work, 3) if work else None,
        "kernels": len(kernels) // len(groups),
        "epochs_ms": [round(1000 * each, 2) for each in seconds],
        "processor_ms": [round(1000 * each, 2) for each in processor],
        "free_gib": [round(each / 2**30, 3) for each in free],
        "longest": longest(kernels),
    }
    if recorder is not None:
        line |= {
            "recordings": len(recorder.recorded),
            "open": recorder.open,
            "replay_ms": replayed(recorder, backbone.device),
        }
    networks = {name: tensor.detach().cpu().clone() for name, tensor in editor.network.state_dict().items()}
    optimizer.zero_grad()
    if recorder is not None:
        recorder.close()
    editor.release()
    return line, networks


def epoch(
    editor: TrainableEditor,
    backbone: Backbone,
    groups: Sequence[Sequence[EditCase]],
    optimization: Optimization,
    store: Store,
) -> None:
    """Take a step on each group of records, and wait for the last."""
    for group in groups:
        take_step(editor, backbone, group, optimization, store=store)
    if backbone.device.type == "cuda":
        torch.cuda.synchronize(backbone.device)


def replayed(recorder: Recorder, device: torch.device) -> float | None:
    """Return the milliseconds of one recording alone: what the GPU needs for the pass of a record."""
    if not recorder.recorded:
        return None
    graph = next(iter(recorder.recorded.values())).graph
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(10):
        graph.replay()
    end.record()
    torch.cuda.synchronize(device)
    return round(begin.elapsed_time(end) / 10, 2)


def longest(kernels: Sequence[Any]) -> Mapping[str, float]:
    """Return the kinds of kernels that take longest in an epoch, in milliseconds."""
    total: dict[str, float] = {}
    for each in kernels:
        total[each.name[:80]] = total.get(each.name[:80], 0.0) + each.time_range.elapsed_us() / 1000
    return {name: round(total[name], 2) for name in sorted(total, key=lambda name: -total[name])[:12]}


def free_memory(backbone: Backbone) -> int:
    """Return the free bytes of a GPU; of a processor's memory 0."""
    return torch.cuda.mem_get_info(backbone.device)[0] if backbone.device.type == "cuda" else 0


if __name__ == "__main__":
    main()

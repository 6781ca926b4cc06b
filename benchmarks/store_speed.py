"""How fast what was stored comes back: from the machine's memory and from disk, beside a copy out of pinned memory.

A result is what one record of LLaVA-1.5-7B leaves below FT-LLM's cut (rows, 3 MB) or MEND's (whole packs, 24 MB). A
record's own questions take 120 ms to compute on an H100. Pinned memory is copied without a stop at the driver's own
buffers; if it is not clearly faster here, nothing is gained by it.

python benchmarks/store_speed.py --device cuda
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from mmke.backbones.engine.disk import OnDisk
from mmke.backbones.engine.store import HOST, HostStore, InMachine, MemoryStore
from mmke.running.devices import device_name, resolve_device

MEGABYTES = {"rows below FT-LLM's cut": 3, "packs below MEND's cut": 24}
RESULTS = 40


def main() -> None:
    """Measure and print, in milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    device = resolve_device(parser.parse_args().device)
    found = {what: speeds(size * 1_000_000, device) for what, size in MEGABYTES.items()}
    print(json.dumps({"device": device_name(device), "milliseconds": found}, indent=1))


def speeds(size: int, device: torch.device) -> dict[str, float]:
    """Return the median milliseconds until a result of a number of bytes is on the device again."""
    made = [torch.randn(1, size // 8192, 4096, dtype=torch.float16, device=device) for _ in range(RESULTS)]
    machine = InMachine(MemoryStore(RESULTS * size * 2))
    disk = OnDisk(RESULTS * size * 2)
    below = HostStore(0, below=disk)
    leaving = {
        "into memory": timed(lambda i: machine.put((i,), made[i]), device),
        "onto disk": timed(lambda i: below.put((i,), made[i]), device),
    }
    back = {
        "from memory": timed(lambda i: machine.find((i,)), device),
        "from disk": timed(lambda i: below.find((i,)), device),
    }
    if device != HOST:
        pinned = [each.to(HOST).pin_memory() for each in made]
        back["from pinned memory"] = timed(lambda i: pinned[i].to(device, non_blocking=True), device)
    return leaving | back


def timed(work: Callable[[int], object], device: torch.device) -> float:
    """Return the median milliseconds of doing something for each result."""
    taken = []
    for number in range(RESULTS):
        begin = time.perf_counter()
        work(number)
        if device != HOST:
            torch.cuda.synchronize(device)
        taken.append(1000 * (time.perf_counter() - begin))
    return round(statistics.median(taken), 3)


if __name__ == "__main__":
    main()

"""What `run.json` states of a cell: everything that decides its rows.

In: a request, a cell of its plan, and the backbone or its skeleton. Out: `RunSettings`, which also say where the cell's
folder lies.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmke.editing.trained import digest
from mmke.protocols import Backbone
from mmke.results.manifest import NOT_KNOWN, RunSettings
from mmke.results.places import run_path
from mmke.results.run_json import read_run
from mmke.running.devices import device_name, dtype_name, resolve_devices
from mmke.running.planning import Cell
from mmke.running.request import Request


def run_settings(request: Request, cell: Cell, backbone: Backbone) -> RunSettings:
    """Return everything that decides the rows of a cell, as `run.json` states it.

    Where other machines compute, the model of their device is the one with which the folder was begun, or `NOT_KNOWN`.
    """
    devices = resolve_devices(request.device, elsewhere=request.elsewhere)
    settings = RunSettings(
        backbone=backbone.name,
        editor=cell.editor.name,
        benchmark=cell.benchmark.name,
        hop=request.hop,
        switches=cell.switches,
        settings=_with_checkpoint(cell),
        metrics=cell.metrics,
        generate=any(metric.ask.decode == "generate" for metric in cell.metrics),
        seed=request.seed,
        probes=request.probes,
        partners=None if request.probes == "published" else request.partners,
        dtype=dtype_name(backbone.dtype),
        device_type=devices[0].type,
        device=NOT_KNOWN if request.elsewhere else device_name(*devices),
        data_revision=cell.data_revision,
        weights_revision=backbone.revision,
        prompt_revision=backbone.prompt_revision,
        schedule=cell.schedule.name,
        stream=cell.schedule.described(),
        order_seed=cell.schedule.order_seed,
    )
    if not request.elsewhere:
        return settings
    begun = read_run(run_path(request.out, settings))
    return settings if begun is None else replace(settings, device=str(begun["device"]))


def _with_checkpoint(cell: Cell) -> Mapping[str, Any]:
    """Return the editor's settings, and what it was trained to where it was."""
    return cell.settings if cell.checkpoint is None else {**cell.settings, "checkpoint": digest(cell.checkpoint)}

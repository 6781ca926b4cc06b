"""Devices and dtypes by the names that a user gives, and a device's own name for the record."""

import platform
import sys

import torch

from mmke.types import UserError


def resolve_device(name: str) -> torch.device:
    """Return a device.

    Raises:
        UserError: no such device, or it is not there.
    """
    unknown = f"unknown device {name!r}; give cpu, cuda or cuda:1"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(unknown) from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(unknown)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name!r} is not there: this PyTorch sees {torch.cuda.device_count()} CUDA devices")
    return device


def resolve_dtype(name: str) -> torch.dtype:
    """Return a floating-point dtype by its PyTorch name.

    Raises:
        UserError: no such dtype.
    """
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if name not in known:
        raise UserError(f"unknown dtype {name!r}; give {', '.join(known)}")
    return known[name]


def device_name(device: torch.device) -> str:
    """Return the card's name, or the processor's with the number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads, {sys.platform}"

"""Devices and dtypes by the names that a user gives, and a device's own name for the record."""

import torch

from mmke.errors import UserError
from mmke.results.provenance import processor_name


def resolve_device(name: str, *, elsewhere: bool = False) -> torch.device:
    """Return a device; one of another machine is a GPU without a number.

    Args:
        name: "cpu", "cuda", "cuda:1", …
        elsewhere: of another machine, so that this one need not have it.

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
    if device.type == "cuda" and not elsewhere and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name!r} is not there: this PyTorch {_gpus()}")
    if device.type != "cuda":
        return device
    return torch.device("cuda") if elsewhere else torch.device("cuda", device.index or 0)


def _gpus() -> str:
    """Say which GPUs there are, and what helps where there are none."""
    count = torch.cuda.device_count()
    if count:
        return f"sees cuda:0 to cuda:{count - 1}; take one of these" if count > 1 else "sees cuda:0 alone; take that"
    if torch.version.cuda is None:
        return "is built without CUDA; install one that has it, or take --device cpu"
    return "sees no GPU (nvidia-smi, CUDA_VISIBLE_DEVICES); take --device cpu"


DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def resolve_dtype(name: str | None) -> torch.dtype | None:
    """Return a floating-point dtype by its PyTorch name; None stays None.

    Raises:
        UserError: no such dtype.
    """
    if name is not None and name not in DTYPES:
        raise UserError(f"unknown dtype {name!r}; give {', '.join(DTYPES)}")
    return None if name is None else DTYPES[name]


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's PyTorch name."""
    return str(dtype).removeprefix("torch.")


def check_dtype(dtype: torch.dtype | None, device: torch.device) -> None:
    """Ask whether a device computes in a dtype.

    Raises:
        UserError: it does not.
    """
    if dtype != torch.bfloat16 or device.type != "cuda":
        return
    major, minor = torch.cuda.get_device_capability(device)
    if major < 8:  # Ampere is the first that has it; before, it is emulated, many times slower
        raise UserError(
            f"{device_name(device)} (compute capability {major}.{minor}) does not compute in bfloat16; "
            "take --dtype float16 or float32"
        )


def device_name(device: torch.device) -> str:
    """Return the model of the GPU, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()

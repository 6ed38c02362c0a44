"""The segmenter: a small U-Net that predicts nucleus against background, and a normalised distance map."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipsm.nuclei.nets.blocks import DoubleConv, Network
from wsipsm.nuclei.nets.shape import HIGHEST_OD, LEAST_OD, LOWEST_OD, SegmenterShape


def _compressed(density: Tensor) -> Tensor:
    """As `wsipsm.nuclei.nets.shape.compressed`."""
    return torch.log1p(density.clamp(LOWEST_OD, HIGHEST_OD) / LEAST_OD)


class _Level(DoubleConv):
    """Two padded 3 x 3 convolutions with batch norm and ReLU."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__(width_in, width, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, width_in, y, x) to (b, width, y, x)."""
        return F.relu(self.linear(x))


class Segmenter(Network):
    """U-Net with additive skips and running statistics that are frozen with the weights.

    Parameters
    ----------
    shape : SegmenterShape
        Planes and widths.
    """

    shape: SegmenterShape

    def __init__(self, shape: SegmenterShape) -> None:
        super().__init__()
        self.shape = shape
        widths = shape.widths
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList([_Level(shape.planes, widths[0]), *(_Level(a, b) for a, b in pairs)])
        self.lift = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.up = nn.ModuleList(_Level(a, a) for a, _ in pairs)
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, planes: Tensor) -> Tensor:
        """Nucleus logit and distance of every pixel.

        Parameters
        ----------
        planes : (b, planes, y, x) float
            Sides are multiples of the stride.

        Returns
        -------
        (b, 2, y, x) float
            Logit of nucleus; distance to the outline of the nucleus, trained to be 0 there and 1 at its maximum.
        """
        x, skips = _compressed(planes) if self.shape.logarithm else planes, []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for level in reversed(range(len(self.up))):
            lifted = F.interpolate(self.lift[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.up[level](skips[level] + lifted)
        result: Tensor = self.head(x)
        return result

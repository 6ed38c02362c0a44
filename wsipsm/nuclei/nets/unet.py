"""The segmenter: a small U-Net that predicts nucleus against background, and a normalised distance map."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipsm.nuclei.nets.blocks import DoubleConv, Network


@dataclass(frozen=True, slots=True)
class SegmenterShape:
    """What fixes the tensors of a :class:`Segmenter`.

    Attributes
    ----------
    planes : int
        Input planes.
    widths : tuple of int
        Channels of each level, fine to coarse; each level has half the resolution of the one before.
    logarithm : bool
        The input is optical density above background, of which the network first takes a logarithm: pale nuclei and
        black ones are both told from what is beside them.
    """

    planes: int
    widths: tuple[int, ...]
    logarithm: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"planes": self.planes, "widths": list(self.widths), "logarithm": self.logarithm}

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> SegmenterShape:
        """Inverse of :meth:`to_dict`."""
        widths = tuple(int(width) for width in table["widths"])
        return cls(int(table["planes"]), widths, bool(table.get("logarithm", False)))

    @property
    def stride(self) -> int:
        """Where blocks may start: multiples of it give the same numbers for the same pixels."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its inside depends on: six strides, 48 px for four levels.

        The receptive field is wider by up to 10 px, where its weights have faded: what lies there moves a probability
        by less than 1e-3 (``tests/test_segmenter.py``). Blocks are anchored, so no tiling can show even that.
        """
        return 6 * self.stride


_LEAST_OD, _LOWEST_OD, _HIGHEST_OD = 0.1, -0.07, 2.4


def compressed(density: Tensor) -> Tensor:
    """log(1 + density / 0.1) of optical density between -0.07 and 2.4; 0 stays 0."""
    return torch.log1p(density.clamp(_LOWEST_OD, _HIGHEST_OD) / _LEAST_OD)


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
        x, skips = compressed(planes) if self.shape.logarithm else planes, []
        for level, down in enumerate(self.down):
            x = down(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for level in reversed(range(len(self.up))):
            lifted = F.interpolate(self.lift[level](x), scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.up[level](skips[level] + lifted)
        result: Tensor = self.head(x)
        return result

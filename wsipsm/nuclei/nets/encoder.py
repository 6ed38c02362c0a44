"""The activation network: shallow residual blocks at full resolution, and a head on their means over a coarse grid.

It is trained without labels to predict, for every cell of the grid, how much of it is stained like nuclei
(:mod:`wsipsm.nuclei.pretrain`). Every convolution is unpadded, so that a pixel's value depends on its
receptive field and on nothing else, and the running statistics of the batch norm are frozen with the weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipsm.nuclei.nets.blocks import DoubleConv, Network

IN_CHANNELS = 6
"""Optical density and chromaticity, three each."""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What fixes the tensors of an :class:`Encoder`; the fields are those of ``EncoderConfig``."""

    width: int
    blocks: int
    hidden: int
    cell_px: int

    @property
    def halo_px(self) -> int:
        """Pixels that the deepest shallow block sees to either side."""
        return 1 + 2 * self.blocks

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


class ResidualBlock(DoubleConv):
    """Two unpadded 3 x 3 convolutions around a cropped identity: 2 px less on every side."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        """(b, width, y, x) to (b, width, y - 4, x - 4)."""
        return F.relu(self.linear(x) + x[..., 2:-2, 2:-2])


class Encoder(Network):
    """Shallow blocks of stride 1 and a head on the coarse grid.

    Parameters
    ----------
    shape : EncoderShape
        Widths and numbers of blocks.
    """

    shape: EncoderShape

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Sequential(
            nn.Conv2d(IN_CHANNELS, shape.width, 3, bias=False), nn.BatchNorm2d(shape.width), nn.ReLU()
        )
        self.blocks = nn.ModuleList(ResidualBlock(shape.width) for _ in range(shape.blocks))
        self.head = nn.Sequential(
            nn.Conv2d(shape.width * shape.blocks, shape.hidden, 1), nn.ReLU(), nn.Conv2d(shape.hidden, 1, 1)
        )

    def activations(self, planes: Tensor) -> list[Tensor]:
        """Compute the maps of the shallow blocks, cropped to one frame.

        Parameters
        ----------
        planes : (b, 6, y + 2 halo, x + 2 halo) float
            Normalised input planes.

        Returns
        -------
        list of (b, width, y, x) float
            One a block, shallow to deep; never below 0.
        """
        x = self.stem(planes)
        maps = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            maps.append(_crop(x, 2 * (self.shape.blocks - number)))
        return maps

    def logits(self, activations: list[Tensor]) -> Tensor:
        """Logits of the coarse grid, (b, y / cell_px, x / cell_px), from (b, width, y, x) maps."""
        cells = torch.cat([F.avg_pool2d(maps, self.shape.cell_px) for maps in activations], dim=1)
        logits: Tensor = self.head(cells)[:, 0]
        return logits

    def forward(self, planes: Tensor) -> Tensor:
        """Logits of the coarse grid of (b, 6, y + 2 halo, x + 2 halo) planes."""
        return self.logits(self.activations(planes))


def _crop(maps: Tensor, margin: int) -> Tensor:
    return maps[..., margin : maps.shape[-2] - margin, margin : maps.shape[-1] - margin]

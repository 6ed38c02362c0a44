"""The activation network: shallow residual blocks at full resolution, and a head on their means over a coarse grid.

It is learnt without labels, by telling for every cell of the grid how much of it is stained like nuclei
(:mod:`wsipsm.nuclei.pretrain`). Every convolution is unpadded, so that a pixel's value depends on its
receptive field and on nothing else, and the running statistics of the batch norm are frozen with the weights.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

IN_CHANNELS = 6
"""Optical density and chromaticity, three each."""


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What fixes the tensors of an :class:`Encoder`; the fields are those of ``EncoderConfig``."""

    width: int
    blocks: int
    hidden: int
    cell_px: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


class ResidualBlock(nn.Module):
    """Two unpadded 3 x 3 convolutions around a cropped identity: 2 px less on every side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, bias=False)
        self.second_norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, width, y, x) to (b, width, y - 4, x - 4)."""
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + x[..., 2:-2, 2:-2])


class Encoder(nn.Module):
    """Shallow blocks of stride 1 and a head on the coarse grid.

    Parameters
    ----------
    shape : EncoderShape
        Widths and depths.
    """

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

    @property
    def halo_px(self) -> int:
        """Pixels that the deepest shallow block sees to either side."""
        return 1 + 2 * self.shape.blocks

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
        for depth, block in enumerate(self.blocks, start=1):
            x = block(x)
            maps.append(_crop(x, 2 * (self.shape.blocks - depth)))
        return maps

    def logits(self, activations: list[Tensor]) -> Tensor:
        """Logits of the coarse grid, (b, y / cell_px, x / cell_px), from (b, width, y, x) maps."""
        cells = torch.cat([F.avg_pool2d(maps, self.shape.cell_px) for maps in activations], dim=1)
        logits: Tensor = self.head(cells)[:, 0]
        return logits

    def forward(self, planes: Tensor) -> Tensor:
        """Logits of the coarse grid of (b, 6, y + 2 halo, x + 2 halo) planes."""
        return self.logits(self.activations(planes))


def folded(encoder: Encoder) -> Encoder:
    """Copy whose batch norms are folded into the convolutions: the same maps up to rounding, in two thirds of the time.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode.
    """
    copied = copy.deepcopy(encoder)
    pairs: list[tuple[nn.Module, str, str]] = [(copied.stem, "0", "1")]
    for block in copied.blocks:
        pairs += [(block, "first", "first_norm"), (block, "second", "second_norm")]
    for owner, conv, norm in pairs:
        setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
        setattr(owner, norm, nn.Identity())
    return copied


def _crop(maps: Tensor, margin: int) -> Tensor:
    return maps[..., margin : maps.shape[-2] - margin, margin : maps.shape[-1] - margin]

"""ResUNet: U-Net (Ronneberger et al. 2015) with a timm encoder; the paper's point network and segmenter."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipsm.core.errors import ConfigError
from wsipsm.training.paper.encoder import create

_DROPOUT = 0.1
CLASSES = 2
"""Background and nucleus."""


class _UpBlock(nn.Module):
    """Upsample by a transposed convolution, join the skip connection, convolve twice."""

    def __init__(self, channels: int, skip: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels, channels // 2, 2, stride=2)
        self.mix = nn.Sequential(*_convolution(channels // 2 + skip, skip), *_convolution(skip, skip))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        mixed: Tensor = self.mix(torch.cat([self.up(x), skip], dim=1))
        return mixed


class ResUNet(nn.Module):
    """U-Net over the features of a network of timm, as in the authors' code over ResNet-34.

    Parameters
    ----------
    name : str
        Network of timm whose feature maps halve from one to the next.
    seed : int
        Of the initial weights; torch's own random state is left alone.

    Raises
    ------
    ConfigError
        timm has no such network, or its feature maps do not halve.
    """

    def __init__(self, name: str, *, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder: Any = create(name, features_only=True)
            channels, strides = encoder.feature_info.channels(), encoder.feature_info.reduction()
            if any(2 * low != high for low, high in itertools.pairwise(strides)):
                raise ConfigError(f"{name}: feature maps with strides {strides}, expected each twice the one before")
            self.encoder = encoder
            pairs = zip(channels[:0:-1], channels[-2::-1], strict=True)
            self.ups = nn.ModuleList(_UpBlock(deep, skip) for deep, skip in pairs)
            self.head = nn.ConvTranspose2d(channels[0], CLASSES, strides[0], stride=strides[0])
        self.stride = int(strides[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, 2, y, x) of (b, 3, y, x) RGB, 0 to 255; y and x are any."""
        height, width = images.shape[2:]
        x = F.pad(images / 127.5 - 1, (0, -width % self.stride, 0, -height % self.stride), mode="replicate")
        *skips, x = self.encoder(x)
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            x = up(x, skip)
        logits: Tensor = self.head(x)
        return logits[..., :height, :width]


def _convolution(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(out), nn.Dropout2d(_DROPOUT)]

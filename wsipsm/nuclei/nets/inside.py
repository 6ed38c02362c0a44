"""The steps of a segmenter on a CPU, for the inside of one block: what it does not depend on is left out on the way up.

How numbers are kept is another matter: as float32 here, where ranges are measured, as bytes in `integers`. A run in
float32 takes the same steps in `by_rows`.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsipsm.nuclei.nets.unet import Segmenter, compressed


class Arithmetic(Protocol):
    """How the steps of a segmenter are computed; tensors are (1, c, y, x), channels last in memory."""

    def begin(self, planes: Tensor) -> Tensor:
        """What the first convolution gets of the input."""

    def convolved(self, name: str, x: Tensor) -> Tensor:
        """Output of the convolution of a name, as in the segmenter's ``state_dict``, and its ReLU if it has one."""

    def merged(self, level: int, skip: Tensor, lifted: Tensor, cut: tuple[int, int]) -> Tensor:
        """Sum of a skip and of what is lifted to its resolution.

        Parameters
        ----------
        level : int
            Of the skip, from the finest.
        skip : (1, c, y, x)
            Output of the level on the way down.
        lifted : (1, c, v, u)
            Output of a lift, at half the resolution.
        cut : two of int
            Pixels of each side that are left out: of the skip, and of what is lifted, once it has its resolution.
        """


def inside_of(segmenter: Segmenter, planes: Tensor, rim_px: int, by: Arithmetic) -> Tensor:
    """Output of a segmenter without a rim.

    Parameters
    ----------
    segmenter : Segmenter
        With folded norms, on a CPU.
    planes : (1, planes, y, x)
        Its input, as the arithmetic takes it; sides are multiples of the stride.
    rim_px : int
        Pixels of each side that are left out.
    by : Arithmetic
        How it is computed.

    Returns
    -------
    (1, 2, y - 2 rim, x - 2 rim) float32
        As of the segmenter.
    """
    x, skips = by.begin(planes), []
    for level in range(len(segmenter.down)):
        x = _two_convolutions(by, f"down.{level}", x if level == 0 else _half(x))
        skips.append(x)
    wanted, before = rims(rim_px, len(segmenter.up)), 0
    for level in reversed(range(len(segmenter.up))):
        rim, deeper = wanted[level]
        lifted = by.convolved(f"lift.{level}", _without(x, deeper - before))
        merged = by.merged(level, skips[level], lifted, (rim, rim - 2 * deeper))
        x, before = _two_convolutions(by, f"up.{level}", merged), rim
    return by.convolved("head", _without(x, rim_px - before))


def rims(rim_px: int, levels: int) -> list[tuple[int, int]]:
    """Pixels of each side that need not be computed on the way up, by level from the finest.

    Parameters
    ----------
    rim_px : int
        Pixels of each side that are left out of the output.
    levels : int
        Levels on the way up.

    Returns
    -------
    list of two of int
        Of what enters the level's convolutions, in its pixels; of the level below, in the pixels of that. Convolutions
        spoil 2 px along a cut, interpolation spoils 1 px; the border of the block is no cut.

    Examples
    --------
    >>> rims(45, 3)
    [(42, 20), (18, 8), (6, 2)]
    """
    found = []
    for _ in range(levels):
        rim = max(0, (rim_px - 2) // 2 * 2)
        rim_px = max(0, rim // 2 - 1)
        found.append((rim, rim_px))
    return found


class InFloats:
    """Arithmetic in float32.

    Parameters
    ----------
    segmenter : Segmenter
        With folded norms.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._logarithm = segmenter.shape.logarithm
        self._layers = convolutions(segmenter)

    def begin(self, planes: Tensor) -> Tensor:
        """As the first convolution gets it."""
        return compressed(planes) if self._logarithm else planes

    def convolved(self, name: str, x: Tensor) -> Tensor:
        """Convolution, and ReLU where there is one."""
        result: Tensor = self._layers[name](x)
        return F.relu_(result) if after(name) == "relu" else result

    def merged(self, level: int, skip: Tensor, lifted: Tensor, cut: tuple[int, int]) -> Tensor:
        """Sum of a skip and of what is interpolated to its resolution.

        Parameters
        ----------
        level, skip, lifted, cut
            As of `Arithmetic`.
        """
        fine = F.interpolate(lifted, scale_factor=2.0, mode="bilinear", align_corners=False)
        return _without(skip, cut[0]) + _without(fine, cut[1])


def convolutions(segmenter: Segmenter) -> dict[str, Any]:
    """Convolutions of a segmenter by name."""
    return {name: layer for name, layer in segmenter.named_modules() if isinstance(layer, nn.Conv2d)}


def after(name: str) -> str:
    """What follows the convolution of a name: ``none`` or ``relu``."""
    return "relu" if name.startswith(("down", "up")) else "none"


def _two_convolutions(by: Arithmetic, level: str, x: Tensor) -> Tensor:
    return by.convolved(f"{level}.second", by.convolved(f"{level}.first", x))


def _half(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of (1, c, y, x), channels last in memory."""
    from wsipsm.nuclei.compiled import half

    return torch.from_numpy(half(x[0].permute(1, 2, 0).contiguous().numpy())).permute(2, 0, 1)[None]


def _without(x: Tensor, rim: int) -> Tensor:
    """View of (1, c, y, x) without so many pixels of each side."""
    return x[:, :, rim : x.shape[2] - rim, rim : x.shape[3] - rim]

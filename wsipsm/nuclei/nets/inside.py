"""The segmenter on a CPU: the inside of one block, with the very bits of the whole, in two thirds of the time.

Each convolution and its ReLU are one call of oneDNN, planes are halved without keeping where their maxima were, and on
the way up, what the inside no longer depends on is left out.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wsipsm.nuclei.nets.unet import Segmenter, compressed


def inside_of(segmenter: Segmenter, planes: Tensor, rim_px: int) -> Tensor:
    """Output of a segmenter without a rim.

    Parameters
    ----------
    segmenter : Segmenter
        With folded norms, on a CPU.
    planes : (1, planes, y, x) float32
        Its input; sides are multiples of the stride.
    rim_px : int
        Pixels of each side that are left out.

    Returns
    -------
    (1, 2, y - 2 rim, x - 2 rim) float32
        As of the segmenter.
    """
    x, skips = compressed(planes) if segmenter.shape.logarithm else planes, []
    for level, down in enumerate(segmenter.down):
        x = _two_convolutions(down, x if level == 0 else _half(x))
        skips.append(x)
    wanted = rims(rim_px, len(segmenter.up))
    before = 0
    for level in reversed(range(len(segmenter.up))):
        rim, deeper = wanted[level]
        lifted = _convolution(segmenter.lift[level], _without(x, deeper - before))
        lifted = F.interpolate(lifted, scale_factor=2.0, mode="bilinear", align_corners=False)
        merged = _without(skips[level], rim) + _without(lifted, rim - 2 * deeper)
        x, before = _two_convolutions(segmenter.up[level], merged), rim
    return _convolution(segmenter.head, _without(x, rim_px - before))


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


def _two_convolutions(level: Any, x: Tensor) -> Tensor:
    return _convolution(level.second, _convolution(level.first, x, "relu"), "relu")


def _convolution(layer: Any, x: Tensor, then: str = "none") -> Tensor:
    """Convolution of stride 1, and what is done to its output in the same pass: ``none`` or ``relu``."""
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        fused = torch.ops.mkldnn._convolution_pointwise  # what torch.compile makes of the two
        result: Tensor = fused(x, layer.weight, layer.bias, layer.padding, [1, 1], [1, 1], 1, then, [], "")
        return result
    result = layer(x)
    return F.relu_(result) if then == "relu" else result


def _half(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of (1, c, y, x), channels last in memory."""
    from wsipsm.nuclei.compiled import half

    return torch.from_numpy(half(x[0].permute(1, 2, 0).contiguous().numpy())).permute(2, 0, 1)[None]


def _without(x: Tensor, rim: int) -> Tensor:
    """View of (1, c, y, x) without so many pixels of each side."""
    return x[:, :, rim : x.shape[2] - rim, rim : x.shape[3] - rim]

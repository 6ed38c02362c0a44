"""The segmenter in float32 on a CPU: the inside of one block by compiled code, in three fifths of PyTorch's time."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import CheckpointError
from wsipsm.nuclei.nets.checkpoint import Arrays
from wsipsm.nuclei.nets.shape import SegmenterShape

_OUTPUTS = 2
_EPSILON = 1e-5
"""Added to variances by batch norm."""


class ByRows:
    """A segmenter that is computed row by row, see `rows`.

    Its output is that of PyTorch up to the rounding of sums in another order.

    Parameters
    ----------
    shape : SegmenterShape
        Of the network.
    arrays : dict of ndarray
        Its trained tensors.

    Raises
    ------
    CheckpointError
        A tensor is missing, left over, of another shape, or not finite.
    """

    def __init__(self, shape: SegmenterShape, arrays: Arrays) -> None:
        self._shape = shape
        self._layers = _folded(shape, arrays)

    def inside(self, planes: npt.NDArray[np.float32], rim_px: int) -> npt.NDArray[np.float32]:
        """Output of the segmenter without a rim.

        Parameters
        ----------
        planes : (y, x, planes) float32
            What its first convolution gets; sides are multiples of the stride.
        rim_px : int
            Pixels of each side that are left out.

        Returns
        -------
        (2, y - 2 rim, x - 2 rim) float32
            As of `wsipsm.nuclei.nets.unet.Segmenter`.
        """
        from wsipsm.nuclei.nets.rows import Place, ascended, descended, rows_of

        layers, levels, stride = self._packed, len(self._shape.widths), self._shape.stride
        height, width, count = planes.shape
        if count != self._shape.planes or height % stride or width % stride:
            raise ValueError(f"{planes.shape}, expected whole strides of {stride} and {self._shape.planes} planes")
        x, skips = rows_of(planes), []
        for level in range(levels):
            pair = (layers[f"down.{level}.{which}"] for which in ("first", "second"))
            skip, x = descended(x, (height >> level, width >> level), *pair)
            skips.append(skip)
        shape, nothing = (_OUTPUTS, height - 2 * rim_px, width - 2 * rim_px), (0, 0, 0)
        x, before = skips.pop(), 0
        images = self._headed(x, shape, rim_px) if levels == 1 else np.empty(nothing, np.float32)
        for level, (rim, deeper) in reversed(list(enumerate(rims(rim_px, levels - 1)))):
            size = (height >> level) - 2 * rim, (width >> level) - 2 * rim
            place = Place(*size, rim, deeper - before, rim - 2 * deeper)
            names = f"lift.{level}", f"up.{level}.first", f"up.{level}.second", "head"
            convolved = tuple(layers[name] for name in names)
            x, images = ascended(skips.pop(), x, place, convolved, nothing if level else shape)
            before = rim
        return images

    def _headed(
        self, planes: npt.NDArray[np.float32], shape: tuple[int, int, int], rim_px: int
    ) -> npt.NDArray[np.float32]:
        """Output of a network of one level, which has no way up."""
        from wsipsm.nuclei.nets.rows import EDGE

        (weight, bias), (_, height, width) = self._layers["head"], shape
        inner = planes[rim_px : rim_px + height, : weight.shape[1], EDGE + rim_px : EDGE + rim_px + width]
        summed = np.einsum("kc,ycx->kyx", weight[:, :, 0, 0], inner) + bias[:, None, None]
        return np.asarray(summed, np.float32)

    @cached_property
    def _packed(self) -> dict[str, Any]:
        """Convolutions by name, as compiled code reads them."""
        from wsipsm.nuclei.nets.packing import packed

        first = self._shape.planes
        return {
            name: packed(weight, bias, planes=first if name == "down.0.first" else None)
            for name, (weight, bias) in self._layers.items()
        }


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


def _folded(shape: SegmenterShape, arrays: Arrays) -> dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Weights and biases of each convolution, with the batch norm that follows it."""
    _check(shape.tensors(), arrays)
    layers = {}
    for name in (key.removesuffix(".weight") for key, array in arrays.items() if array.ndim == 4):
        weight = arrays[f"{name}.weight"].astype(np.float64)
        if f"{name}.bias" in arrays:
            layers[name] = weight, arrays[f"{name}.bias"]
            continue
        parts = ("weight", "bias", "running_mean", "running_var")
        gain, bias, mean, variance = (arrays[f"{name}_norm.{part}"].astype(np.float64) for part in parts)
        factor = gain / np.sqrt(variance + _EPSILON)
        layers[name] = weight * factor[:, None, None, None], bias - mean * factor
    return layers


def _check(expected: dict[str, tuple[int, ...]], arrays: Arrays) -> None:
    wrong = "the checkpoint's tensors do not fit its network"
    for what, names in (("missing", expected.keys() - arrays.keys()), ("left over", arrays.keys() - expected.keys())):
        if names:
            raise CheckpointError(f"{wrong}: {', '.join(sorted(names))} {what}")
    for name, size in expected.items():
        if arrays[name].shape != size:
            raise CheckpointError(f"{wrong}: {name} is {arrays[name].shape}, expected {size}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise CheckpointError("the checkpoint's tensors are not all finite: make it again")

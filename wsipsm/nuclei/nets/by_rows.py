"""The segmenter in float32 on a CPU: the inside of one block by compiled code, in three fifths of PyTorch's time."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.nuclei.nets.inside import convolutions, rims
from wsipsm.nuclei.nets.unet import Segmenter

_OUTPUTS = 2


class ByRows:
    """A segmenter that is computed row by row, see `rows`.

    Its output is that of PyTorch up to the rounding of sums in another order.

    Parameters
    ----------
    segmenter : Segmenter
        With folded norms, on any device.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

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
            As of `Segmenter`.
        """
        from wsipsm.nuclei.nets.rows import Place, ascended, descended, rows_of

        layers, levels = self._layers, len(self._segmenter.down)
        height, width = planes.shape[:2]
        x, skips = rows_of(planes), []
        for level in range(levels):
            pair = (layers[f"down.{level}.{which}"] for which in ("first", "second"))
            skip, x = descended(x, (height >> level, width >> level), *pair)
            skips.append(skip)
        x, before = skips.pop(), 0
        shape, nothing = (_OUTPUTS, height - 2 * rim_px, width - 2 * rim_px), (0, 0, 0)
        for level, (rim, deeper) in reversed(list(enumerate(rims(rim_px, levels - 1)))):
            size = (height >> level) - 2 * rim, (width >> level) - 2 * rim
            place = Place(*size, rim, deeper - before, rim - 2 * deeper)
            names = f"lift.{level}", f"up.{level}.first", f"up.{level}.second", "head"
            convolved = tuple(layers[name] for name in names)
            x, images = ascended(skips.pop(), x, place, convolved, nothing if level else shape)
            before = rim
        return images

    @cached_property
    def _layers(self) -> dict[str, Any]:
        """Convolutions by name, as compiled code reads them."""
        from wsipsm.nuclei.nets.rows import packed

        found, first = {}, self._segmenter.shape.planes
        for name, layer in convolutions(self._segmenter).items():
            weight, bias = (tensor.detach().cpu().numpy() for tensor in (layer.weight, layer.bias))
            found[name] = packed(weight, bias, planes=first if name == "down.0.first" else None)
        return found

"""Compiled loops over the pixels of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Floats = npt.NDArray[np.float32]


@compiled
def looked_up(image: npt.NDArray[np.uint8], table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Values (y, x, 3) of an image, from a table (256, 3) of each byte in each colour."""
    values = np.empty(image.shape, table.dtype)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            for colour in range(3):
                values[y, x, colour] = table[image[y, x, colour], colour]
    return values


@compiled
def summed_steps(image: npt.NDArray[np.uint8], tables: _Floats, step: np.float32) -> npt.NDArray[np.int8]:
    """Whole steps, (k, y, x) int8, of the sum over the colours of an image of what tables (k, 256, 3) hold.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB.
    tables : (k, 256, 3) float32
        Summand of each byte in each colour, for each of k planes.
    step : float32
        What a whole step stands for; steps are clipped to int8.
    """
    steps = np.empty((len(tables), image.shape[0], image.shape[1]), np.int8)
    for plane in range(len(tables)):
        table = tables[plane]
        for y in range(image.shape[0]):
            for x in range(image.shape[1]):
                red, green, blue = image[y, x, 0], image[y, x, 1], image[y, x, 2]
                value = np.rint(((table[red, 0] + table[green, 1]) + table[blue, 2]) / step)
                steps[plane, y, x] = np.int8(min(max(value, np.float32(-128)), np.float32(127)))
    return steps

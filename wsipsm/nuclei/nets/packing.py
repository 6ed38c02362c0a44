"""Weights in the order in which `rows` reads them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.nuclei.nets.vectors import GROUP

Planes = npt.NDArray[np.float32]
Packed = tuple[Planes, Planes]
"""Weights and biases as `packed` orders them."""

_SUMS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""G of F(2, 3): what four sums of rows are multiplied with, of three weights."""


def packed(weight: Planes, bias: Planes, *, planes: int | None = None) -> Packed:
    """Weights of a convolution in the order in which they are read.

    Parameters
    ----------
    weight : (o, i, k, k) float32
        3 x 3 or 1 x 1.
    bias : (o,) float32
        Of each output channel.
    planes : int, optional
        Channels of the planes that are read; by default those that a convolution before it leaves, whole groups.

    Returns
    -------
    two of ndarray
        (groups, summands, channels, k, GROUP) and (groups, GROUP) float32; channels that the network lacks are 0.
    """
    outputs, inputs = (-(-count // GROUP) * GROUP for count in weight.shape[:2])
    room = np.zeros((outputs, planes or inputs, *weight.shape[2:]))
    room[: len(weight), : weight.shape[1]] = weight
    summed = np.einsum("sk,oikx->soix", _SUMS, room) if weight.shape[2] == 3 else room[None, :, :, 0]
    grouped = summed.reshape(len(summed), -1, GROUP, *summed.shape[2:]).transpose(1, 0, 3, 4, 2)
    biases = np.zeros(outputs, np.float32)
    biases[: len(bias)] = bias
    return np.ascontiguousarray(grouped, np.float32), biases.reshape(-1, GROUP)

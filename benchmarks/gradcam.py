"""The activation map as the paper has it, to compare the frozen form with."""

from __future__ import annotations

import torch
from torch import Tensor

from wsipsm.nuclei.activation import channel_weights
from wsipsm.nuclei.nets.encoder import Encoder


def gradcam_map(encoder: Encoder, planes: Tensor) -> Tensor:
    """Compute the paper's map of one image, with nothing frozen: for reference, not for tiles.

    Every block gives ReLU(sum_k a_k A_k), scaled to 0..1 by its own minimum and maximum; the mean over the blocks is
    scaled likewise.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode.
    planes : (6, y, x) float
        Input planes with halo.

    Returns
    -------
    (y, x) float
        0 to 1.
    """
    batch = planes[None]
    with torch.no_grad():
        activations = encoder.activations(batch)
    blocks = [
        _stretch(torch.einsum("k,kyx->yx", weight, maps[0]).relu())
        for weight, maps in zip(channel_weights(encoder, batch), activations, strict=True)
    ]
    return _stretch(torch.stack(blocks).mean(dim=0))


def _stretch(plane: Tensor) -> Tensor:
    low, high = plane.min(), plane.max()
    return (plane - low) / (high - low) if high > low else torch.zeros_like(plane)

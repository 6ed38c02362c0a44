"""Prior self-activation maps (Chen et al. 2023, section 2.1): gradient-weighted outputs of the shallow blocks."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from wsipsm.core.geometry import Image, Map
from wsipsm.training.paper.encoder import ActivationEncoder
from wsipsm.training.paper.settings import MapSettings
from wsipsm.training.paper.tasks import target_output

_TINY = 1e-7


def activation_map(encoder: ActivationEncoder, image: Image, settings: MapSettings) -> Map:
    """Map of one image (Chen et al. 2023, section 2.1; Grad-CAM, Selvaraju et al. 2017, eq. 1 and 2).

    Channel k of a block weighs the mean over its pixels of dy/dA_k. Each block's weighted sum is scaled to 0..1 and
    resized to the image; the mean over blocks, clipped at 0, is scaled to 0..1 again. As in the authors' code the
    clip stands after the scaling, where nothing is below 0 any more.

    Parameters
    ----------
    encoder : ActivationEncoder
        In evaluation mode.
    image : (y, x, 3) uint8
        RGB.
    settings : MapSettings
        Stages, and divisor of the pixels.

    Returns
    -------
    (y, x) float32
        0 to 1; all 0 if the weighted sums are constant.
    """
    device = next(encoder.parameters()).device
    pixels = to_tensor(image).to(device) / settings.divide_by
    with torch.enable_grad():
        activations, outputs = encoder.shallow(pixels, settings.stages)
        gradients = torch.autograd.grad(target_output(encoder.task, outputs), activations)
    size = image.shape[1], image.shape[0]
    blocks = [
        cv2.resize(_scaled(weighted_sum(a, g)), size, interpolation=cv2.INTER_LINEAR)
        for a, g in zip(activations, gradients, strict=True)
    ]
    found = _scaled(np.maximum(blocks, 0).mean(axis=0, dtype=np.float32))
    return dark_up(found, image) if settings.dark_is_high else found


def dark_up(activation: Map, image: Image) -> Map:
    """Map (y, x), 0 to 1, inverted where it correlates with the brightness of (y, x, 3) RGB.

    Examples
    --------
    >>> image = np.array([[[9, 9, 9], [200, 200, 200]]], np.uint8)
    >>> dark_up(np.array([[0, 1]], np.float32), image).tolist()
    [[1.0, 0.0]]
    """
    bright = image.mean(axis=2, dtype=np.float32)
    together = float(((activation - activation.mean()) * (bright - bright.mean())).sum())
    return np.float32(1) - activation if together > 0 else activation


def weighted_sum(activations: Tensor, gradients: Tensor) -> Map:
    """Channels (1, c, j, i) weighted by their pooled gradients; (j, i) float32."""
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    total: Map = (weights * activations).sum(dim=1)[0].detach().cpu().numpy().astype(np.float32)
    return total


def to_tensor(image: Image) -> Tensor:
    """(1, 3, y, x) float32 of (y, x, 3) uint8, 0 to 255."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()


def _scaled(plane: Map) -> Map:
    raised = plane - plane.min()
    scaled: Map = raised / (raised.max() + np.float32(_TINY))
    return scaled

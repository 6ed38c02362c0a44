"""Losses of the paper's two U-Nets, and instances from a probability map."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from skimage.measure import label
from skimage.segmentation import watershed
from torch import Tensor

from wsipsm.core.geometry import Map
from wsipsm.training.paper.points import blurred, find_points
from wsipsm.training.paper.settings import PointSettings
from wsipsm.training.paper.voronoi import IGNORED, NUCLEUS
from wsipsm.training.targets import Instances


def log_probabilities(logits: Tensor, *, softmax_twice: bool) -> Tensor:
    """Log probabilities (b, 2, y, x) of logits; ``softmax_twice`` takes the softmax of the softmax."""
    return F.log_softmax(logits.softmax(dim=1) if softmax_twice else logits, dim=1)


def partial_nll(log_probability: Tensor, targets: Tensor) -> Tensor:
    """Negative log likelihood, mean over the pixels that are not ``IGNORED``; 0 where all are.

    Parameters
    ----------
    log_probability : (b, 2, y, x) float
        Log probability of background and nucleus.
    targets : (b, y, x) int64
        Of BACKGROUND, NUCLEUS and IGNORED.
    """
    total = F.nll_loss(log_probability, targets, ignore_index=IGNORED, reduction="sum")
    return total / (targets != IGNORED).sum().clamp(min=1)


def segmenter_loss(log_probability: Tensor, mask: Tensor, voronoi: Tensor, *, voronoi_weight: float) -> Tensor:
    """NLL of the pseudo mask + weight * NLL of the Voronoi targets (Chen et al. 2023, section 2.3).

    ``log_probability`` is (b, 2, y, x), ``mask`` and ``voronoi`` are (b, y, x) int64 targets.

    Parameters
    ----------
    log_probability : (b, 2, y, x) float32
        Of background and nucleus.
    mask, voronoi : (b, y, x) int64
        Targets of both kinds.
    voronoi_weight : float
        Of the second term.
    """
    return partial_nll(log_probability, mask) + voronoi_weight * partial_nll(log_probability, voronoi)


def nucleus_probability(logits: Tensor) -> Map:
    """Probability of nucleus, (y, x) float32, of (1, 2, y, x) logits."""
    probability: Map = logits.detach().softmax(dim=1)[0, NUCLEUS].cpu().numpy()
    return probability


def components(probability: Map) -> Instances:
    """8-connected components of the pixels above 0.5; (y, x) int32 of (y, x) float32."""
    return np.asarray(label(probability > 0.5, connectivity=2), np.int32)


def watershed_instances(probability: Map, settings: PointSettings) -> Instances:
    """Components, cut by the watershed of the blurred probability with its points as markers.

    Parameters
    ----------
    probability : (y, x) float32
        Probability of nucleus, 0 to 1.
    settings : PointSettings
        Of the points and of the blur.

    Returns
    -------
    (y, x) int32
        One label for each point, and one for each component without a point.
    """
    mask = probability > 0.5
    points = find_points(probability, settings)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[points[:, 1], points[:, 0]] = np.arange(1, len(points) + 1)
    found = np.asarray(watershed(-blurred(probability, settings), seeds, mask=mask, connectivity=2), np.int32)
    rest = np.asarray(label(mask & (found == 0), connectivity=2), np.int32)
    found[rest > 0] = rest[rest > 0] + len(points)
    return found

"""Losses of the segmenter: cross entropy, soft Dice, and smooth L1 of the distance map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

DICE_WEIGHT, DISTANCE_WEIGHT = 0.5, 2.0
_BETA = 0.1


def segmenter_loss(output: Tensor, nucleus: Tensor, distance: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy + 0.5 soft Dice + 2 smooth L1 (Girshick 2015, eq. 3) of the distance map, over weighted pixels.

    Parameters
    ----------
    output : (b, 2, y, x) Tensor
        Logit of nucleus, and the predicted distance map.
    nucleus, distance, weight : (b, y, x) Tensor
        Targets, 0 or 1 and 0 to 1; weights, 0 or more.

    Returns
    -------
    () Tensor
    """
    logit, predicted = output[:, 0], output[:, 1]
    entropy = F.binary_cross_entropy_with_logits(logit, nucleus, reduction="none")
    error = F.smooth_l1_loss(predicted, distance, reduction="none", beta=_BETA)
    return (
        _weighted(entropy, weight)
        + DICE_WEIGHT * soft_dice_loss(torch.sigmoid(logit), nucleus, weight)
        + DISTANCE_WEIGHT * _weighted(error, weight)
    )


def distillation_loss(output: Tensor, probability: Tensor, distance: Tensor) -> Tensor:
    """Cross entropy above that of a perfect student + 2 smooth L1 of the distance map; 0 where teachers are met.

    Parameters
    ----------
    output : (b, 2, y, x) Tensor
        Logit of nucleus, and the predicted distance map.
    probability, distance : (b, y, x) Tensor
        Of the teachers; from 0 to 1, and about so.

    Returns
    -------
    () Tensor
    """
    wanted = probability.clamp(0, 1)  # means and resized ones may be above 1 in the last bit, which torch refuses
    entropy = F.binary_cross_entropy_with_logits(output[:, 0], wanted) - F.binary_cross_entropy(wanted, wanted)
    return entropy + DISTANCE_WEIGHT * F.smooth_l1_loss(output[:, 1], distance, beta=_BETA)


def soft_dice_loss(probability: Tensor, nucleus: Tensor, weight: Tensor) -> Tensor:
    """1 - (2 |P N| + 1) / (|P| + |N| + 1) of each sample (Milletari et al. 2016, eq. 3), averaged; (b, y, x) each.

    Parameters
    ----------
    probability, nucleus, weight : (b, y, x) float32
        Predicted, true (0 or 1), and the weight of each pixel.
    """
    overlap = (probability * nucleus * weight).sum(dim=(1, 2))
    total = ((probability + nucleus) * weight).sum(dim=(1, 2))
    return (1 - (2 * overlap + 1) / (total + 1)).mean()


def _weighted(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)

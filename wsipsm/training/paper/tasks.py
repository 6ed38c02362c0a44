"""The five self-supervised tasks and their losses.

Images are (b, 3, y, x) float32 RGB, 0 to 255, square; outputs are (b, n) float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MARGIN = 10.0
"""Of the contrastive loss, in squared units of the output; as in the authors' code."""

_EMBEDDING = 128
_HIDDEN = 32


def similarity_loss(output: Tensor, turned: Tensor) -> Tensor:
    """Similarity measure (Chen et al. 2023, eq. 1): |f(x) - f(rot180 x)|, mean over the batch; both (b, 1)."""
    return (output - turned).abs().sum() / output.shape[0]


def contrastive_loss(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Triplet hinge (Schroff et al. 2015, eq. 3): squared distances; (b, n), (b, n) and (1, n) for all anchors.

    Parameters
    ----------
    anchor, positive : (b, n) float32
        Features of a patch and of one like it.
    negative : (1, n) float32
        Features of one unlike all.
    """
    near, far = F.mse_loss(positive, anchor), F.mse_loss(negative.expand_as(anchor), anchor)
    return torch.clamp(near - far + MARGIN, min=0)


def rotation_loss(logits: Tensor, turns: Tensor) -> Tensor:
    """Rotation prediction (Gidaris et al. 2018, eq. 2): cross entropy; (b, 4) and (b,) quarter turns."""
    return F.cross_entropy(logits, turns)


def negative_cosine(prediction: Tensor, embedding: Tensor) -> Tensor:
    """SimSiam (Chen & He 2021, eq. 1 and 3): negative cosine, no gradient to the embedding; both (b, n)."""
    return -F.cosine_similarity(prediction, embedding.detach(), dim=1).mean()


def mean_value_loss(output: Tensor, images: Tensor) -> Tensor:
    """Mean value (Chen et al. 2023, section 3.3): |f(x) - mean of all pixels of x|; (b, 1) and (b, 3, y, x)."""
    return (output[:, 0] - images.mean(dim=(1, 2, 3))).abs().mean()


class Predictor(nn.Sequential):
    """SimSiam's small network from one view's embedding to the other's; (b, 128) to (b, 128)."""

    def __init__(self) -> None:
        # Without batch norm: the method's batch is one image, which has no statistics here.
        super().__init__(nn.Linear(_EMBEDDING, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _EMBEDDING))


Network = Callable[[Tensor], Tensor]

Loss = Callable[[Network, Network, Tensor, np.random.Generator], Tensor]
"""Loss of an encoder, and a predictor behind it, on images; the generator draws the turns."""


@dataclass(frozen=True, slots=True)
class Task:
    """Task: number of outputs, loss on a batch, and whether it needs a predictor."""

    outputs: int
    loss: Loss
    predicts: bool = False


def target_output(task: str, outputs: Tensor) -> Tensor:
    """Scalar whose gradient makes the map, from (1, n) outputs.

    The output itself where there is one; for rotation the logit of upright, as images are shown; for SimSiam, which
    has no distinguished output, their sum.
    """
    return outputs[0, 0] if task != "simsiam" else outputs[0].sum()


def _similarity(encode: Network, predict: Network, images: Tensor, rng: np.random.Generator) -> Tensor:
    return similarity_loss(encode(images), encode(torch.rot90(images, 2, (2, 3))))


def _contrastive(encode: Network, predict: Network, images: Tensor, rng: np.random.Generator) -> Tensor:
    anchor, negative = images[:-1], images[-1:]
    turned = torch.rot90(anchor, 2, (2, 3))
    return contrastive_loss(encode(anchor), encode(turned), encode(negative))


def _rotation(encode: Network, predict: Network, images: Tensor, rng: np.random.Generator) -> Tensor:
    turned, turns = _randomly_turned(images, rng)
    return rotation_loss(encode(turned), turns)


def _simsiam(encode: Network, predict: Network, images: Tensor, rng: np.random.Generator) -> Tensor:
    one, other = encode(images), encode(_randomly_turned(images, rng)[0])
    return (negative_cosine(predict(one), other) + negative_cosine(predict(other), one)) / 2


def _mean_value(encode: Network, predict: Network, images: Tensor, rng: np.random.Generator) -> Tensor:
    return mean_value_loss(encode(images), images)


def _randomly_turned(images: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images turned by quarter turns, and the turns (b,) int64."""
    turns = [int(turn) for turn in rng.integers(4, size=len(images))]
    turned = [torch.rot90(image, turn, (1, 2)) for image, turn in zip(images, turns, strict=True)]
    return torch.stack(turned), torch.tensor(turns, device=images.device)


TASKS = {
    "similarity": Task(1, _similarity),
    "contrastive": Task(1, _contrastive),
    "rotation": Task(4, _rotation),
    "simsiam": Task(_EMBEDDING, _simsiam, predicts=True),
    "mean_value": Task(1, _mean_value),
}

"""Batches of augmented crops, drawn from the fields that the segmenter learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wsipsm.config import TrainingConfig
from wsipsm.core.geometry import Image
from wsipsm.stain.normalise import SlideStats, relative_planes
from wsipsm.stain.optics import Floats
from wsipsm.training.augment import draw
from wsipsm.training.targets import Target


@dataclass(frozen=True, eq=False)
class TrainingField:
    """Field with its target.

    Attributes
    ----------
    image : (y, x, 3) uint8
        RGB.
    stats : SlideStats
        Of its slide.
    target : Target
        Nucleus, distance map and weights.
    """

    image: Image
    stats: SlideStats
    target: Target

    def planes(self, window: tuple[slice, slice]) -> Floats:
        """Network input of a window, (y, x, 3) float32; see :func:`wsipsm.stain.normalise.relative_planes`.

        Computed anew for every crop, as keeping it would take four times the memory of the image.
        """
        return relative_planes(self.image[window], self.stats)


def batch_of(fields: Sequence[TrainingField], config: TrainingConfig, *, number: int, step: int) -> list[Tensor]:
    """Batch of a step of a round, which follows from seed, round and step alone.

    Parameters
    ----------
    fields : sequence of TrainingField
        To draw from.
    config : TrainingConfig
        Batch, patch size, augmentation, seed.
    number : int
        Of the round.
    step : int
        Of the round's steps.

    Returns
    -------
    list of four Tensor
        Planes (b, 3, y, x), nucleus, distance and weight (b, y, x); float32.
    """
    rng, settings = np.random.default_rng((config.seed, number, step)), config.settings_of_round(number)
    crops = []
    for _ in range(config.batch):
        field = fields[int(rng.integers(len(fields)))]
        crops.append(draw(field.planes, field.target, settings, rng, colours=field.stats.in_colours))
    return [torch.from_numpy(np.stack(arrays)) for arrays in zip(*crops, strict=True)]

"""Distillation: one network learns the mean of several networks over four rotations, which then takes one pass.

The teachers see every field as it is, at the input scale that suits its slide (see :mod:`wsipsm.nuclei.levels`). The
student starts from the first teacher and sees augmented crops. Its weights are then drawn back towards those that it
started from (Wortsman et al. 2022, section 2), as what it learnt of its fields costs it on fields that are unlike them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wsipsm.config import Config, TrainingConfig
from wsipsm.nuclei.learning import Progress
from wsipsm.nuclei.levels import find_levels
from wsipsm.nuclei.nets.device import computing_threads
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.training.batches import TrainingField, batch_of
from wsipsm.training.losses import distillation_loss
from wsipsm.training.pseudo_labels import maps_of_field
from wsipsm.training.slide_sample import SlideSample
from wsipsm.training.student_teacher import Schedule, learn, networks_of
from wsipsm.training.targets import Target


def lessons(sample: SlideSample, teachers: Sequence[SegmentationNet], config: Config) -> list[TrainingField]:
    """Fields of a slide with the teachers' mean maps as targets; every pixel weighs the same.

    Parameters
    ----------
    sample : SlideSample
        Fields of the slide.
    teachers : sequence of SegmentationNet
        Of one architecture; the first one chooses the input scale of the slide.
    config : Config
        Sections ``segmenter`` and ``labels``.
    """
    first, own, rules = teachers[0], config.segmenter, config.labels
    with computing_threads(first.device) as threads:
        levels = find_levels(sample.fields, first, sample.stats, config=own, rules=rules, threads=threads)
    stats, found = sample.stats.scaled(levels.input_scale), []
    for image in sample.fields:
        probability, distance = maps_of_field(image, teachers, stats, threads=config.training.threads)
        weight = np.ones(distance.shape, np.float32)
        found.append(TrainingField(image, stats, Target(probability, distance, weight)))
    return found


def distil(
    start: SegmentationNet,
    fields: Sequence[TrainingField],
    config: TrainingConfig,
    *,
    state_file: Path | None = None,
    progress: Progress | None = None,
) -> Segmenter:
    """Network that learnt the targets of the fields, on the device of the one that it starts from.

    Parameters
    ----------
    start : SegmentationNet
        Is not changed.
    fields : sequence of TrainingField
        Of `lessons`.
    config : TrainingConfig
        The ``distil_`` keys, EMA decay, batch, augmentation and seed.
    state_file : Path, optional
        State to resume from; the caller removes it.
    progress : callable, optional
        Called after every step; errors as :func:`wsipsm.nuclei.learning.learn`.
    """
    networks = networks_of(start)
    networks.to(start.device)
    number, drawn = config.rounds + 1, config.model_copy(update={"zoom_out_rounds": 0})

    def loss_of(step: int) -> Tensor:
        planes, probability, distance, _ = (
            plane.to(start.device) for plane in batch_of(fields, drawn, number=number, step=step)
        )
        return distillation_loss(
            networks.student(planes.contiguous(memory_format=torch.channels_last)), probability, distance
        )

    steps = config.distil_steps
    schedule = Schedule(steps, config.distil_rate, config.ema_decay, save_every=max(1, min(50, steps // 10)))
    learn(networks, loss_of, schedule, state_file=state_file, progress=progress)
    return between(start.network, networks.teacher, config.distil_share)


def between(first: Segmenter, second: Segmenter, share: float) -> Segmenter:
    """Network with weights and running statistics between those of two of one architecture.

    Parameters
    ----------
    first, second : Segmenter
        On one device; not changed.
    share : float
        0 gives the first, 1 the second.
    """
    mixed, ends = copy.deepcopy(second), first.state_dict()
    with torch.no_grad():
        for name, tensor in mixed.state_dict().items():
            if tensor.dtype.is_floating_point:
                tensor.mul_(share).add_(ends[name], alpha=1 - share)
    return mixed

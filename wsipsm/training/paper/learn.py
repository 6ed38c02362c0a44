"""Training of the paper's networks: Adam at a constant rate; batch and random state follow from the step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from wsipsm.nuclei import learning
from wsipsm.nuclei.learning import Learner, Loss, Plan, Progress


def steps_of(epochs: float, images: int, batch: int) -> int:
    """Number of optimiser steps of some epochs.

    Parameters
    ----------
    epochs : float
        May be a part of one.
    images : int
        In an epoch.
    batch : int
        Images in a step.

    Examples
    --------
    >>> steps_of(100, 30, 4), steps_of(0.1, 30, 4)
    (750, 1)
    """
    return max(1, int(np.ceil(epochs * images / batch)))


def batch_indices(step: int, *, images: int, batch: int, seed: int) -> list[int]:
    """Indices of the images of a step; every epoch has its own shuffle, and batches are full.

    Parameters
    ----------
    step : int
        From 0. The batch follows from it, so that a resumed training draws the same.
    images, batch, seed : int
        Number of images, images in a batch, seed of the shuffles.
    """
    places = range(step * batch, (step + 1) * batch)
    return [int(np.random.default_rng((seed, p // images)).permutation(images)[p % images]) for p in places]


def learn(
    net: nn.Module,
    loss_of: Loss,
    plan: Plan,
    *,
    learning_rate: float,
    seed: int,
    progress: Progress | None = None,
) -> None:
    """Train a network in place and leave it in evaluation mode; errors as :func:`wsipsm.nuclei.learning.learn`.

    Parameters
    ----------
    net : Module
        With its initial weights.
    loss_of : callable
        Loss of a step; torch's random state inside it is seeded by the step.
    plan : Plan
        Number of steps, and the state to resume from.
    learning_rate : float
        Constant rate of Adam (Kingma & Ba 2015, algorithm 1).
    seed : int
        Seed of the random state inside a step.
    progress : callable, optional
        Called after every step.
    """
    devices = sorted({p.device.index or 0 for p in net.parameters() if p.device.type == "cuda"})

    def seeded(step: int) -> Tensor:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(np.random.SeedSequence((seed, step)).generate_state(1)[0]))
            return loss_of(step)

    learner = Learner(net, torch.optim.Adam(net.parameters(), lr=learning_rate))
    learning.learn(learner, seeded, plan, progress=progress)

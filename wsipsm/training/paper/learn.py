"""How every network of the method is learnt: Adam, a constant rate, batches and chance that follow from the step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from wsipsm.nuclei import learning
from wsipsm.nuclei.learning import Learner, Loss, Plan, Progress


def steps_of(epochs: float, images: int, batch: int) -> int:
    """Optimiser steps of so many passes.

    Examples
    --------
    >>> steps_of(100, 30, 4), steps_of(0.1, 30, 4)
    (750, 1)
    """
    return max(1, int(np.ceil(epochs * images / batch)))


def batch_indices(step: int, *, images: int, batch: int, seed: int) -> list[int]:
    """Which images a step sees: every pass is a shuffle of its own, and batches are full.

    Parameters
    ----------
    step : int
        From 0. Nothing else is needed to know the batch, so that a resumed run draws the same.
    images, batch, seed : int
        Number of images, images a step, seed of the shuffles.
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
    """Learn a network in place and leave it in evaluation mode; errors as :func:`wsipsm.nuclei.learning.learn`.

    Parameters
    ----------
    net : Module
        With its initial weights.
    loss_of : callable
        Loss of the network on the batch of a step; what it draws from torch's random state is seeded by the step.
    plan : Plan
        Length and state.
    learning_rate : float
        Of Adam (Kingma & Ba 2015), constant.
    seed : int
        Of what is random inside a step.
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

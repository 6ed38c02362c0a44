"""How the segmenter is learnt: the rate of every step, and the running mean of the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from wsipsm.nuclei import learning
from wsipsm.nuclei.learning import Learner, Loss, Plan, Progress

WARM_UP_STEPS = 50
_LAST_RATE = 0.02


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    learning_rate : float
        Peak; reached after ``WARM_UP_STEPS``, then falls as a cosine.
    average : float
        Decay of the running mean of the weights (EMA).
    save_every : int
        Steps between two states on disk.
    """

    steps: int
    learning_rate: float
    average: float
    save_every: int = 50

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        return self.learning_rate * warm * max(0.5 * (1 + math.cos(math.pi * step / self.steps)), _LAST_RATE)

    def decay(self, step: int) -> float:
        """Decay of the running mean at a step; smaller at first, so that the first weights are soon forgotten."""
        return min(self.average, (step + 1) / (step + 10))


class Averaged:
    """Network that learns, and the running mean of its weights, which is what is used.

    PyTorch has ``swa_utils.AveragedModel``; it takes the first step's weights as they are and rounds differently.

    Parameters
    ----------
    network, mean : nn.Module
        Of one architecture; ``mean`` need not hold the same weights at the start.
    """

    def __init__(self, network: nn.Module, mean: nn.Module) -> None:
        self.network, self.mean = network, mean

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the mean towards the network."""
        for kept, new in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.mul_(decay).add_(new, alpha=1 - decay)
            else:
                kept.copy_(new)


def learn(
    pair: Averaged,
    loss_of: Loss,
    schedule: Schedule,
    *,
    state_file: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Run the steps, from the state on disk where there is one; the weights end the same to the bit.

    Parameters
    ----------
    pair : Averaged
        Changed in place; both are left in evaluation mode.
    loss_of : callable
        Loss of a step.
    schedule : Schedule
        Length and rates.
    state_file : Path, optional
        Where the state is kept while learning, whole or not at all; the caller removes it.
    progress : callable, optional
        Called after every step; errors as :func:`wsipsm.nuclei.learning.learn`.
    """
    # PyTorch's schedules multiply the rate of the optimiser: with 1 the rates have the bits of `Schedule.rate`.
    optimiser = torch.optim.AdamW(pair.network.parameters(), lr=1.0, weight_decay=1e-4)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: schedule.rate(step))
    plan = Plan("segmenter", schedule.steps, state_file, schedule.save_every)
    learner = Learner(pair.network, optimiser, rates, pair.mean, lambda step: pair.follow(schedule.decay(step)))
    learning.learn(learner, loss_of, plan, progress=progress)
    pair.mean.eval()

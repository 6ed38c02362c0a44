"""The one loop that every network of the method is learnt in; a killed and resumed run ends with the same bits."""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wsipsm.core.errors import CheckpointError, FitError, OutputError


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One line of ``metrics.csv``: what a step of a stage came to; ``loss`` is None where nothing is learnt."""

    stage: str
    step: int
    steps: int
    loss: float | None = None


Progress = Callable[[StepRecord], None]
"""Called after every step; an exception it raises ends the training, which can be resumed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is learnt.

    Attributes
    ----------
    stage : str
        Name of the stage in records.
    steps : int
        Optimiser steps in all.
    learning_rate : float
        Of Adam (Kingma & Ba 2015), constant.
    seed : int
        Of what is random inside a step.
    save_every : int
        Steps between two saved states.
    fingerprint : str
        Of everything the result depends on; a state of another is refused.
    """

    stage: str
    steps: int
    learning_rate: float
    seed: int
    save_every: int
    fingerprint: str


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
    net: nn.Module, loss_of: Callable[[int], Tensor], plan: Plan, *, state: Path, progress: Progress | None = None
) -> None:
    """Learn a network in place and leave it in evaluation mode.

    Parameters
    ----------
    net : Module
        With its initial weights.
    loss_of : callable
        Loss of the network on the batch of a step; what it draws from torch's random state is seeded by the step.
    plan : Plan
        Length and seed.
    state : Path
        File of weights, optimiser and step, written whole or not at all; taken up where it exists.
    progress : callable, optional
        Called after every step.

    Raises
    ------
    FitError
        The loss is not finite.
    CheckpointError
        The state is of another training, or damaged.
    """
    optimiser = torch.optim.Adam(net.parameters(), lr=plan.learning_rate)
    start = _resume(net, optimiser, plan, state)
    devices = sorted({p.device.index or 0 for p in net.parameters() if p.device.type == "cuda"})
    net.train()
    for step in range(start, plan.steps):
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(np.random.SeedSequence((plan.seed, step)).generate_state(1)[0]))
            loss = loss_of(step)
        if not bool(torch.isfinite(loss)):
            raise FitError(f"{plan.stage}: the loss is {loss.item()} at step {step + 1}: lower its learning_rate")
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        done = step + 1
        if done % plan.save_every == 0 or done == plan.steps:
            _save(net, optimiser, plan, done, state)
        if progress is not None:
            progress(StepRecord(plan.stage, done, plan.steps, float(loss.item())))
    net.eval()


def _resume(net: nn.Module, optimiser: torch.optim.Optimizer, plan: Plan, state: Path) -> int:
    """Take up a saved state; return the number of steps it has behind it."""
    if not state.is_file():
        return 0
    try:
        held: dict[str, Any] = torch.load(state, map_location="cpu", weights_only=True)
        if held["fingerprint"] != plan.fingerprint:
            raise CheckpointError(f"{state}: the state of another training; remove it or choose another folder")
        net.load_state_dict(held["net"])
        optimiser.load_state_dict(held["optimiser"])
        return int(held["step"])
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError):
        raise CheckpointError(f"{state}: a damaged state of a training; remove it to start this stage again") from None


def _save(net: nn.Module, optimiser: torch.optim.Optimizer, plan: Plan, step: int, state: Path) -> None:
    held = {
        "fingerprint": plan.fingerprint,
        "step": step,
        "net": net.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    # Straight into the draft: half a gigabyte of weights and moments should not be held a second time.
    draft = state.with_name(f".{state.name}.{uuid.uuid4().hex[:8]}")
    try:
        torch.save(held, draft)
        os.replace(draft, state)
    except (OSError, RuntimeError) as error:
        draft.unlink(missing_ok=True)
        raise OutputError(f"{state}: cannot be written: {error}") from None

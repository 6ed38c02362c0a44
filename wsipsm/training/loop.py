"""One optimiser loop that can be killed at any moment and goes on as if it had not been."""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsipsm.core.errors import CheckpointError
from wsipsm.core.files import write_bytes

Step = Callable[[int], Tensor]
"""Loss of step 0, 1, ...; everything random in it follows from the number of the step."""

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


class Averaged:
    """Network that learns, and the running mean of its weights, which is what is used.

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
    loss_of: Step,
    schedule: Schedule,
    *,
    state_file: Path | None = None,
    told: Callable[[int, float], None] | None = None,
) -> None:
    """Run the steps, from the state on disk where there is one; the weights end the same to the bit.

    Parameters
    ----------
    pair : Averaged
        Changed in place; the mean is left in evaluation mode.
    loss_of : callable
        Loss of a step.
    schedule : Schedule
        Length and rates.
    state_file : Path, optional
        Where the state is kept while learning, whole or not at all; the caller removes it.
    told : callable, optional
        Called with every step's number, from 1, and loss.
    """
    optimiser = torch.optim.AdamW(pair.network.parameters(), lr=schedule.learning_rate, weight_decay=1e-4)
    first = _restore(state_file, pair, optimiser) if state_file is not None and state_file.exists() else 0
    pair.network.train()
    for step in range(first, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        loss = loss_of(step)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        pair.follow(min(schedule.average, (step + 1) / (step + 10)))
        if told is not None:  # before the state: whoever keeps a record of the steps must not miss one
            told(step + 1, float(loss.item()))
        if state_file is not None and (step + 1) % schedule.save_every == 0:
            _save(state_file, pair, optimiser, step + 1)
    pair.mean.eval()


def _save(path: Path, pair: Averaged, optimiser: torch.optim.Optimizer, step: int) -> None:
    buffer = io.BytesIO()
    state: Mapping[str, Any] = {
        "step": step,
        "network": pair.network.state_dict(),
        "mean": pair.mean.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def _restore(path: Path, pair: Averaged, optimiser: torch.optim.Optimizer) -> int:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        pair.network.load_state_dict(state["network"])
        pair.mean.load_state_dict(state["mean"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: a damaged state of a training ({reason}); remove it to start this round again"
        ) from None

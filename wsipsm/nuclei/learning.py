"""The one training loop of all networks; a training that was killed resumes with the same result."""

from __future__ import annotations

import os
import pickle
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from wsipsm.core.errors import CheckpointError, DiskFullError, FitError, OutputError
from wsipsm.core.files import is_disk_full

Loss = Callable[[int], Tensor]
"""Loss of step 0, 1, ...; where a state is kept, everything random in it follows from the number of the step."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """Result of a step, counted from 1, of a stage; ``loss`` is None in stages without training."""

    stage: str
    step: int
    steps: int
    loss: float | None = None


Progress = Callable[[StepRecord], None]
"""Called after every step; an exception it raises ends the training, which can be resumed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Length of a training, and the file it resumes from.

    Attributes
    ----------
    stage : str
        Name in records and messages, that of the section of the settings with its ``learning_rate``.
    steps : int
        Optimiser steps in all.
    state : Path, optional
        File of weights, optimiser and step, taken up where it exists; the caller removes it.
    save_every : int
        Steps between two saved states; the last one is saved too.
    fingerprint : str
        Of everything the result depends on; a state of another is refused.
    """

    stage: str
    steps: int
    state: Path | None = None
    save_every: int = 50
    fingerprint: str = ""


class Stateful(Protocol):
    """Network, optimiser or schedule: a part of the saved state."""

    def state_dict(self) -> dict[str, Any]:
        """State, of tensors and plain Python values."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Load a state."""


@dataclass(frozen=True, slots=True)
class Learner:
    """A network, its optimiser and its schedule.

    Attributes
    ----------
    network : Module
        With its initial weights; it is changed in place.
    optimiser : Optimizer
        Of its parameters.
    schedule : LRScheduler, optional
        Of the optimiser.
    mean : Module, optional
        Running mean of the weights, which is kept in the state too.
    follow : callable, optional
        Moves the mean; called with the number of every step, from 0.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: LRScheduler | None = None
    mean: nn.Module | None = None
    follow: Callable[[int], None] | None = None

    def parts(self) -> dict[str, Stateful]:
        """All that a state holds."""
        parts: dict[str, Any] = {name: getattr(self, name) for name in ("network", "mean", "optimiser", "schedule")}
        return {name: part for name, part in parts.items() if part is not None}

    def move(self, step: int, loss: Tensor) -> None:
        """Take one step down the slope of the loss."""
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        self.optimiser.step()
        if self.schedule is not None:
            self.schedule.step()
        if self.follow is not None:
            self.follow(step)


def learn(learner: Learner, loss_of: Loss, plan: Plan, *, progress: Progress | None = None) -> None:
    """Train a network, from the saved state where there is one, and leave it in evaluation mode.

    Parameters
    ----------
    learner : Learner
        Changed in place.
    loss_of : callable
        Loss of a step.
    plan : Plan
        Length, and where the state is kept.
    progress : callable, optional
        Called after every step.

    Raises
    ------
    FitError
        The loss is not finite.
    CheckpointError
        The state is damaged, or of another training.
    OutputError
        The state cannot be written.
    """
    first = _restore(plan.state, learner, plan) if plan.state is not None and plan.state.is_file() else 0
    learner.network.train()
    for step in range(first, plan.steps):
        loss, done = loss_of(step), step + 1
        if not bool(torch.isfinite(loss)):
            raise FitError(f"the loss is {loss.item()} at step {done}: lower {plan.stage}.learning_rate")
        learner.move(step, loss)
        if progress is not None:  # before the state: whoever keeps a record of the steps must not miss one
            progress(StepRecord(plan.stage, done, plan.steps, float(loss.item())))
        if plan.state is not None and (done % plan.save_every == 0 or done == plan.steps):
            _save(plan.state, learner, plan, done)
    learner.network.eval()


def _restore(path: Path, learner: Learner, plan: Plan) -> int:
    """Load a saved state; return the number of its steps."""
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if held["fingerprint"] == plan.fingerprint:
            for name, part in learner.parts().items():
                part.load_state_dict(held[name])
            return int(held["step"])
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path}: a damaged state of a training ({reason}); remove it to start this stage again"
        ) from None
    raise CheckpointError(f"{path}: the state of another training; remove it or choose another folder")


def _save(path: Path, learner: Learner, plan: Plan, step: int) -> None:
    """Write a state whole or not at all."""
    held = {"fingerprint": plan.fingerprint, "step": step}
    # Straight into the draft: half a gigabyte of weights and moments should not be held a second time.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with draft.open("wb") as file:
            torch.save(held | {name: part.state_dict() for name, part in learner.parts().items()}, file)
        os.replace(draft, path)
    except (OSError, RuntimeError) as error:
        draft.unlink(missing_ok=True)
        kind = DiskFullError if is_disk_full(error) else OutputError
        raise kind(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}") from None

"""Student network and its EMA teacher: initial weights, learning-rate and decay schedules, the steps of a round."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from wsipsm.config import TrainingConfig
from wsipsm.core.errors import CheckpointError
from wsipsm.nuclei import learning
from wsipsm.nuclei.learning import Learner, Loss, Plan, Progress
from wsipsm.nuclei.nets.blocks import load_tensors
from wsipsm.nuclei.nets.device import Device
from wsipsm.nuclei.nets.shape import PLANES, SegmenterShape
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.segmentation import SegmentationNet

"""Input planes, see :func:`wsipsm.stain.normalise.relative_planes`."""
WARM_UP_STEPS = 50
_LOWEST_RATE = 0.02

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Length, learning rate and EMA decay of a round.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    learning_rate : float
        Peak; linear warm-up over ``WARM_UP_STEPS``, then a cosine (Loshchilov & Hutter 2017, eq. 5) that ends at 0.02
        of the peak.
    decay : float
        EMA decay of the teacher.
    save_every : int
        Steps between two saved states.
    """

    steps: int
    learning_rate: float
    decay: float
    save_every: int = 50

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / WARM_UP_STEPS)
        return self.learning_rate * warm * max(0.5 * (1 + math.cos(math.pi * step / self.steps)), _LOWEST_RATE)

    def decay_at(self, step: int) -> float:
        """EMA decay of a step; smaller at first, so that the teacher soon forgets its first weights."""
        return min(self.decay, (step + 1) / (step + 10))


@dataclass(frozen=True, eq=False)
class StudentTeacher(Generic[Network]):
    """Student network, which the optimiser moves, and its EMA teacher, which labels fields and is the result.

    The teacher is the exponential moving average of the student's weights (mean teacher, Tarvainen & Valpola 2017,
    section 2). It is not `torch.optim.swa_utils.AveragedModel`, which copies the first step's weights and rounds
    differently.

    Attributes
    ----------
    student, teacher : nn.Module
        Of one architecture.
    """

    student: Network
    teacher: Network

    def to(self, device: Device) -> None:
        """Move both networks to a device."""
        self.student.to(device)
        self.teacher.to(device)

    @torch.no_grad()
    def update_teacher(self, decay: float) -> None:
        """Set every weight of the teacher to ``decay * teacher + (1 - decay) * student``; copy whole numbers."""
        for mean, new in zip(self.teacher.state_dict().values(), self.student.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.mul_(decay).add_(new, alpha=1 - decay)
            else:
                mean.copy_(new)

    def load(self, path: Path) -> None:
        """Load both networks from the state that a round leaves.

        Raises
        ------
        CheckpointError
            The file is missing, damaged, or of another architecture.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            load_tensors(self.student, state["network"])
            load_tensors(self.teacher, state["mean"])
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, CheckpointError) as error:
            raise CheckpointError(f"{path}: damaged ({error}); start anew with --fresh") from None


def new_networks(config: TrainingConfig) -> StudentTeacher[Segmenter]:
    """Student with random weights that follow from the seed, and a teacher with the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return _twins(Segmenter(SegmenterShape(PLANES, config.widths, config.logarithm)))


def networks_of(net: SegmentationNet) -> StudentTeacher[Segmenter]:
    """Student and teacher with the weights of a trained segmenter."""
    return _twins(copy.deepcopy(net.network).cpu().requires_grad_(True))


def learn(
    networks: StudentTeacher[Any],
    loss_of: Loss,
    schedule: Schedule,
    *,
    state_file: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Train the student with AdamW and update the teacher after every step; a resumed training ends with the same bits.

    Parameters
    ----------
    networks : StudentTeacher
        Changed in place and left in evaluation mode.
    loss_of : callable
        Loss of a step.
    schedule : Schedule
        Length, rates and decays.
    state_file : Path, optional
        State to resume from; written now and then and after the last step. The caller removes it.
    progress : callable, optional
        Called after every step; errors as :func:`wsipsm.nuclei.learning.learn`.
    """
    # LambdaLR multiplies the optimiser's rate: with 1 the rates have the bits of `Schedule.rate`.
    optimiser = torch.optim.AdamW(networks.student.parameters(), lr=1.0, weight_decay=1e-4)
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: schedule.rate(step))
    plan = Plan("training", schedule.steps, state_file, schedule.save_every)

    def follow(step: int) -> None:
        networks.update_teacher(schedule.decay_at(step))

    learning.learn(
        Learner(networks.student, optimiser, rates, networks.teacher, follow), loss_of, plan, progress=progress
    )
    networks.teacher.eval()


def _twins(network: Segmenter) -> StudentTeacher[Segmenter]:
    """Student and a copy as its teacher; channels last, which makes a step take 0.6 of the time on a CPU."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs do not know it
    return StudentTeacher(network, copy.deepcopy(network))

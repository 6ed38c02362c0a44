"""The segmenter learns: batches, rounds, and what is kept between two of them."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wsipsm.config import TrainingConfig
from wsipsm.core.errors import CheckpointError
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Image
from wsipsm.nuclei.learning import Progress
from wsipsm.nuclei.nets.checkpoint import load_tensors
from wsipsm.nuclei.nets.unet import Segmenter, SegmenterShape
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import SlideStats, relative_planes
from wsipsm.stain.optics import Floats
from wsipsm.training.augment import Sample, draw
from wsipsm.training.loop import Averaged, Schedule, learn
from wsipsm.training.losses import segmenter_loss
from wsipsm.training.targets import Target, make_target
from wsipsm.training.teacher import Taught

PLANES = 3
"""Input planes, see :func:`wsipsm.stain.normalise.relative_planes`."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """A field to draw crops from.

    Attributes
    ----------
    image : (y, x, 3) uint8
        RGB.
    stats : SlideStats
        Of its slide.
    target : Target
        What is to be learnt.
    """

    image: Image
    stats: SlideStats
    target: Target

    def planes(self, window: tuple[slice, slice]) -> Floats:
        """What the network sees of a window, (y, x, 3) float32; see :func:`wsipsm.stain.normalise.relative_planes`.

        Made anew for every crop, as holding it would take four times the memory of the image.
        """
        return relative_planes(self.image[window], self.stats)


@dataclass(frozen=True, slots=True)
class Batch:
    """Planes (b, 3, y, x) and targets (b, y, x), float32."""

    planes: Tensor
    nucleus: Tensor
    depth: Tensor
    weight: Tensor


def lesson_of(image: Image, taught: Taught, stats: SlideStats, config: TrainingConfig, *, mpp: float) -> Lesson:
    """Lesson of a field from its labels."""
    return Lesson(image, stats, make_target(taught.labels, taught.probability, image, config, mpp=mpp))


def new_pair(config: TrainingConfig) -> Averaged:
    """Network with the weights of the seed, and its running mean."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = Segmenter(SegmenterShape(PLANES, config.widths))
    return _paired(network)


def pair_of(net: SegmentationNet) -> Averaged:
    """Network and running mean that go on from a trained one."""
    return _paired(copy.deepcopy(net.network).cpu().requires_grad_(True))


def batch_of(lessons: Sequence[Lesson], config: TrainingConfig, *, number: int, step: int) -> Batch:
    """Batch of a step of a round; seed, round and step decide it."""
    rng = np.random.default_rng((config.seed, number, step))
    settings = config.settings_of_round(number)
    samples = [_draw_one(lessons, settings, rng) for _ in range(config.batch)]
    stacked = [[getattr(sample, name) for sample in samples] for name in ("planes", "nucleus", "depth", "weight")]
    return Batch(*(torch.from_numpy(np.stack(arrays)) for arrays in stacked))


def learn_round(
    pair: Averaged,
    lessons: Sequence[Lesson],
    config: TrainingConfig,
    *,
    number: int,
    state_file: Path,
    progress: Progress | None = None,
) -> None:
    """Learn one round in place, on the device where the pair lies.

    Parameters
    ----------
    pair : Averaged
        Network and running mean of the round before.
    lessons : sequence of Lesson
        Fields with their targets.
    config : TrainingConfig
        Length, rate, batch, seed.
    number : int
        Of the round, from 0.
    state_file : Path
        Where the state is kept on the way.
    progress : callable, optional
        Called after every step.

    Raises
    ------
    FitError
        The loss is not finite.
    CheckpointError
        The state is damaged; an OutputError where it cannot be written.
    """
    device = next(pair.network.parameters()).device

    def loss_of(step: int) -> Tensor:
        batch = batch_of(lessons, config, number=number, step=step)
        output = pair.network(batch.planes.to(device).contiguous(memory_format=torch.channels_last))
        return segmenter_loss(output, *(t.to(device) for t in (batch.nucleus, batch.depth, batch.weight)))

    steps = config.round_steps if number else config.steps
    schedule = Schedule(steps, config.learning_rate, config.ema_decay, save_every=max(1, min(50, steps // 10)))
    learn(pair, loss_of, schedule, state_file=state_file, progress=progress)


def save_pair(path: Path, pair: Averaged) -> None:
    """Write both networks whole or not at all."""
    buffer = io.BytesIO()
    states = {"network": pair.network.state_dict(), "mean": pair.mean.state_dict()}
    torch.save({name: {key: t.cpu() for key, t in state.items()} for name, state in states.items()}, buffer)
    write_bytes(path, buffer.getvalue())


def load_pair(path: Path, pair: Averaged) -> None:
    """Read both networks in place.

    Raises
    ------
    CheckpointError
        The file is damaged, or of networks of another shape.
    """
    try:
        states: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        load_tensors(pair.network, states["network"])
        load_tensors(pair.mean, states["mean"])
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, CheckpointError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); start anew with --fresh") from None


def _paired(network: Segmenter) -> Averaged:
    """Network and its mean; channels last, which makes a step take 0.6 of the time on a CPU."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stubs do not know it
    return Averaged(network, copy.deepcopy(network))


def _draw_one(lessons: Sequence[Lesson], config: TrainingConfig, rng: np.random.Generator) -> Sample:
    lesson = lessons[int(rng.integers(len(lessons)))]
    return draw(lesson.planes, lesson.target, config, rng, stain=lesson.stats.stain)

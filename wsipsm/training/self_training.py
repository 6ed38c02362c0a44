"""Self-training of the segmenter: a round on pseudo masks, rounds on its teachers' labels, then their distillation."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wsipsm.config import TrainingConfig
from wsipsm.core.versions import versions
from wsipsm.nuclei.learning import Progress
from wsipsm.nuclei.nets.checkpoint import save_checkpoint
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.training.batches import TrainingField, batch_of
from wsipsm.training.context import TrainingContext
from wsipsm.training.distillation import distil, lessons
from wsipsm.training.losses import segmenter_loss
from wsipsm.training.pseudo_labels import Counts, count_labels, load_pseudo_labels, teacher_labels
from wsipsm.training.slide_sample import SlideSample
from wsipsm.training.student_teacher import Schedule, StudentTeacher, learn, networks_of, new_networks
from wsipsm.training.targets import make_target


def train_segmenter(
    training: TrainingContext, samples: Sequence[SlideSample], init: SegmentationNet | None
) -> SegmentationNet:
    """Train the ensemble round by round, and distil it; without that, the first member's teacher is the result.

    Parameters
    ----------
    training : TrainingContext
        Rounds that are in its folder are not trained again.
    samples : sequence of SlideSample
        Slides with pseudo labels on disk.
    init : SegmentationNet, optional
        Segmenter to start from; it also labels the first round, instead of the pseudo masks.
    """
    config, folder = training.config.training, training.folder
    members = map(config.settings_of_member, range(config.members))
    ensemble = [networks_of(init) if init else new_networks(settings) for settings in members]
    with training.stage("segmenter"), limited_threads(config.threads):
        first = folder.rounds_done(config)
        for member in range(config.learners if first else 0):
            ensemble[member].load(folder.state(min(first - 1, config.last_round_of(member)), member))
        for networks in ensemble:
            networks.to(training.device)
        for number in range(first, config.rounds + 1):
            teachers = [frozen(training, networks) for networks in ensemble] if number else []
            fields = label_fields(training, samples, teachers or ([init] if init else []), number=number)
            for member in range(config.members_in_round(number)):
                _train_member(training, fields, ensemble[member], number=number, member=member)
            net = frozen(training, ensemble[0], provenance(training, number=number))
            save_checkpoint(folder.round(number), net.checkpoint())
            for member in range(config.members_in_round(number)):
                folder.state(number - 1, member).unlink(missing_ok=True)
        teachers = [frozen(training, networks) for networks in ensemble[: config.learners]]
        segmenter = _distilled(training, samples, teachers) if config.distil_steps else teachers[0].network
    return _net(training, segmenter, provenance(training, number=config.rounds))


def _distilled(
    training: TrainingContext, samples: Sequence[SlideSample], teachers: Sequence[SegmentationNet]
) -> Segmenter:
    """Segmenter that learnt the mean maps of all teachers."""
    config, number = training.config.training, training.config.training.rounds + 1
    fields: list[TrainingField] = []
    for one in training.each("targets of the distillation", samples):
        fields += lessons(one, teachers, training.config)
    progress = training.progress("distillation", number, steps=config.distil_steps)
    return distil(teachers[0], fields, config, state_file=training.folder.state(number, 0), progress=progress)


def label_fields(
    training: TrainingContext, samples: Sequence[SlideSample], teachers: Sequence[SegmentationNet], *, number: int
) -> list[TrainingField]:
    """Fields of a round with targets from the teachers' labels or, without teachers, from the pseudo masks.

    All are held in memory, 12 bytes a pixel.

    Parameters
    ----------
    training : TrainingContext
        Configuration, folder, device.
    samples : sequence of SlideSample
        Fields of the slides.
    teachers : sequence of SegmentationNet
        Of the round before; empty in the first round.
    number : int
        Of the round.
    """
    config, folder = training.config, training.folder
    fields, counts = [], Counts(0, 0)
    for one in training.each(f"labels for round {number}", samples):
        if teachers:
            final = config.training.is_final_round(number)
            pseudo = [teacher_labels(f, teachers, one.stats, config, final=final) for f in one.fields]
        else:
            pseudo = load_pseudo_labels(folder.labels(one.source.name))
        for image, labels in zip(one.fields, pseudo, strict=True):
            target = make_target(labels.labels, labels.probability, image, config.training, mpp=config.grid.mpp)
            fields.append(TrainingField(image, one.stats, target))
            counts += count_labels(labels, image, config.training, mpp=config.grid.mpp)
    training.record.table["rounds"][str(number)] = {"instances": counts.instances, "doubtful": counts.doubtful}
    training.record.write()
    return fields


def train_round(
    networks: StudentTeacher[Segmenter],
    fields: Sequence[TrainingField],
    config: TrainingConfig,
    *,
    number: int,
    state_file: Path,
    progress: Progress | None = None,
) -> None:
    """Train one member for one round, on the device of its networks.

    Parameters
    ----------
    networks : StudentTeacher
        Of the round before; changed in place.
    fields : sequence of TrainingField
        Fields with their targets.
    config : TrainingConfig
        Length, rate, decay, batch and seed.
    number : int
        Of the round, from 0.
    state_file : Path
        State to resume from; after the last step it is what the next round goes on from.
    progress : callable, optional
        Called after every step; errors as :func:`wsipsm.nuclei.learning.learn`.
    """
    device = next(networks.student.parameters()).device

    def loss_of(step: int) -> Tensor:
        planes, *targets = (t.to(device) for t in batch_of(fields, config, number=number, step=step))
        return segmenter_loss(networks.student(planes.contiguous(memory_format=torch.channels_last)), *targets)

    steps = _steps(config, number)
    schedule = Schedule(steps, config.learning_rate, config.ema_decay, save_every=max(1, min(50, steps // 10)))
    learn(networks, loss_of, schedule, state_file=state_file, progress=progress)


def frozen(
    training: TrainingContext, networks: StudentTeacher[Segmenter], provenance: dict[str, Any] | None = None
) -> SegmentationNet:
    """Segmenter with a copy of the teacher's present weights.

    Parameters
    ----------
    training : TrainingContext
        Configuration and device.
    networks : StudentTeacher
        The member.
    provenance : dict, optional
        What it learnt from, for the checkpoint.
    """
    return _net(training, copy.deepcopy(networks.teacher), provenance or {})


def _net(training: TrainingContext, segmenter: Segmenter, provenance: dict[str, Any]) -> SegmentationNet:
    mpp, stain = training.config.grid.mpp, training.config.recognizer.stain
    return SegmentationNet.of_network(segmenter, mpp=mpp, stain=stain, provenance=provenance, device=training.device)


def provenance(training: TrainingContext, *, number: int) -> dict[str, Any]:
    """Origin of the segmenter of a round, JSON-ready: inputs, configuration, seed, versions, seconds."""
    table = training.record.table
    return {
        **{key: table[key] for key in ("inputs", "skipped", "config", "init")},
        "rounds": number,
        "seed": training.config.training.seed,
        "digests": training.digests,
        "seconds": {name: entry["seconds"] for name, entry in table["stages"].items()},
        "device": training.device,
        "versions": versions(),
    }


def _train_member(
    training: TrainingContext,
    fields: Sequence[TrainingField],
    networks: StudentTeacher[Segmenter],
    *,
    number: int,
    member: int,
) -> None:
    """Train a round of a member and leave its state; a round that was finished before a kill takes no step."""
    config, state = training.config.training, training.folder.state(number, member)
    which = f" {member + 1} of {config.members_in_round(number)}" if config.members_in_round(number) > 1 else ""
    title, steps = f"segmenter{which}, round {number}", _steps(config, number)
    progress = training.progress(f"segmenter{which}", number, steps=steps, title=title)
    train_round(networks, fields, config.settings_of_member(member), number=number, state_file=state, progress=progress)


def _steps(config: TrainingConfig, number: int) -> int:
    return config.round_steps if number else config.steps

"""The stages of a training; each takes up what an earlier start left, and leaves files that the next one reads."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from wsipsm.config import Config
from wsipsm.core.errors import CheckpointError, FitError, SlideError
from wsipsm.core.versions import versions
from wsipsm.nuclei.activation import ActivationNet
from wsipsm.nuclei.nets.checkpoint import load_checkpoint, save_checkpoint
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.pretrain import pretrain
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.training.fields import Material, material
from wsipsm.training.folder import Folder
from wsipsm.training.inputs import Skipped, Source, refuse_nothing
from wsipsm.training.loop import Averaged
from wsipsm.training.pseudolabels import load_labels, make_labels
from wsipsm.training.rounds import Lesson, learn_round, lesson_of, load_pair, new_pair, pair_of, save_pair
from wsipsm.training.teacher import Counts, count, labels_of_segmenters
from wsipsm.training.training import Training

COHORT_SLIDES, COHORT_PATCHES = 64, 24
"""The encoder learns from so many slides at most, and so many patches of each; of few slides from more of each."""
_ENOUGH_CROPS = 4


def sample(training: Training, sources: Sequence[Source]) -> list[Material]:
    """Fields and patches of every slide; one without tissue is left out and noted.

    Raises
    ------
    FitError
        Nothing, or too little, is left.
    """
    found = []
    with training.stage("fields"):
        training.watcher.began("fields", len(sources))
        for done, source in enumerate(sources, start=1):
            try:
                found.append(material(source, training.config, file=training.folder.fields(source.name)))
            except (FitError, SlideError) as error:
                training.leave_out(Skipped(source.path, error))
            training.watcher.moved(done)
        refuse_nothing(found, training.skipped)
        refuse_little(found, training.config)
    return found


def refuse_little(materials: Sequence[Material], config: Config) -> None:
    """Raise for less than a few crops of tissue."""
    pixels = sum(m.fields[..., 0].size for m in materials)
    least = _ENOUGH_CROPS * config.training.patch_px**2
    if pixels < least:
        side, mpp = round(least**0.5), config.grid.mpp
        raise FitError(
            f"{materials[0].source.path}: only {pixels} px to learn from at {mpp:g} um/px, expected at least {least} "
            f"({side} x {side}): learn from more tissue"
        )


def learn_encoder(training: Training, materials: Sequence[Material]) -> ActivationNet:
    """Activation network of all slides together."""
    config, file = training.config.encoder, training.folder.encoder
    with training.stage("encoder"), limited_threads(config.threads):
        if not file.is_file():
            training.watcher.began("encoder", config.steps)
            told, stain = training.progress("encoder", 0), training.config.recognizer.stain
            net = pretrain(cohort(materials), config, stain=stain, device=training.device, progress=told)
            save_checkpoint(file, net.checkpoint())
        return ActivationNet.of_checkpoint(load_checkpoint(file, kinds=("encoder",)), device=training.device)


def cohort(materials: Sequence[Material]) -> list[Any]:
    """Patches that the encoder learns from, of slides and places that are spread evenly."""
    chosen = [materials[i] for i in _spread(len(materials), COHORT_SLIDES)]
    found = []
    for one in chosen:
        patches = one.patches()
        found.append(patches[_spread(len(patches), max(COHORT_PATCHES, -(-len(patches) // len(chosen))))])
    return found


def label_by_psm(training: Training, materials: Sequence[Material], net: ActivationNet) -> list[Material]:
    """Leave pseudo labels of every field, by the map and the clusters of its slide; give the slides that have them."""
    config, kept = training.config, []
    with training.stage("pseudolabels"), limited_threads(config.encoder.threads):
        training.watcher.began("pseudo labels", len(materials))
        for done, one in enumerate(materials, start=1):
            file = training.folder.labels(one.source.name)
            try:
                make_labels(one, net, config, file=file, device=training.device)
                kept.append(one)
            except FitError as error:
                training.leave_out(Skipped(one.source.path, error))
            training.watcher.moved(done)
        refuse_nothing(kept, training.skipped)
    return kept


def learn_segmenter(training: Training, materials: Sequence[Material], init: SegmentationNet | None) -> Segmenter:
    """Segmenters learn a round on the pseudo labels, then rounds on their own; the first one's running mean."""
    config, folder = training.config.training, training.folder
    pairs = [pair_of(init) if init else new_pair(config.settings_of_member(m)) for m in range(config.members)]
    with training.stage("segmenter"), limited_threads(config.threads):
        first = folder.rounds_done(config)
        for member in range(config.members_in_round(first - 1) if first else 0):
            load_pair(folder.pair(first - 1, member), pairs[member])
        for module in [module for pair in pairs for module in (pair.network, pair.mean)]:
            module.to(training.device)
        for number in range(first, config.rounds + 1):
            teachers = [frozen(training, pair) for pair in pairs] if number else []
            lessons = prepare(training, materials, teachers or ([init] if init else []), number=number)
            for member in range(config.members_in_round(number)):
                _learn_one(training, lessons, pairs[member], number=number, member=member)
            net = frozen(training, pairs[0], provenance(training, number=number))
            save_checkpoint(folder.round(number), net.checkpoint())
            for member in range(config.members):
                folder.pair(number - 1, member).unlink(missing_ok=True)
    mean: Segmenter = pairs[0].mean  # type: ignore[assignment]  # Averaged holds any module
    return mean


def prepare(
    training: Training, materials: Sequence[Material], teachers: Sequence[SegmentationNet], *, number: int
) -> list[Lesson]:
    """Lessons of a round, from the labels of the segmenters before it or, where there are none, the pseudo labels.

    Fields and targets of all slides are held in memory, 12 bytes a pixel.
    """
    config, folder = training.config, training.folder
    training.watcher.began(f"labels for round {number}", len(materials))
    lessons, counts = [], Counts(0, 0)
    for done, one in enumerate(materials, start=1):
        if teachers:
            final_round = config.training.is_final_round(number)
            taught = [labels_of_segmenters(f, teachers, one.stats, config, final_round=final_round) for f in one.fields]
        else:
            taught = load_labels(folder.labels(one.source.name))
        for field, label in zip(one.fields, taught, strict=True):
            lessons.append(lesson_of(field, label, one.stats, config.training, mpp=config.grid.mpp))
            counts += count(label, field, config.training, mpp=config.grid.mpp)
        training.watcher.moved(done)
    training.record.table["rounds"][str(number)] = {"instances": counts.instances, "doubtful": counts.doubtful}
    training.record.write()
    return lessons


def frozen(training: Training, pair: Averaged, provenance: dict[str, Any] | None = None) -> SegmentationNet:
    """Segmenter of the running mean as it is now."""
    mean: Segmenter = copy.deepcopy(pair.mean)  # type: ignore[assignment]  # Averaged holds any module
    mpp, stain = training.config.grid.mpp, training.config.recognizer.stain
    return SegmentationNet(mean, mpp=mpp, stain=stain, provenance=provenance or {}, device=training.device)


def provenance(training: Training, *, number: int) -> dict[str, Any]:
    """What a segmenter came from, JSON-ready."""
    table = training.record.table
    return {
        "rounds": number,
        "inputs": table["inputs"],
        "skipped": table["skipped"],
        "config": table["config"],
        "init": table["init"],
        "seed": training.config.training.seed,
        "digests": training.digests,
        "seconds": {name: entry["seconds"] for name, entry in table["stages"].items()},
        "device": training.device.type,
        "versions": versions(),
    }


def _learn_one(training: Training, lessons: Sequence[Lesson], pair: Averaged, *, number: int, member: int) -> None:
    """Learn a round of a member, unless that was done before a kill, and leave its file."""
    config, folder = training.config.training, training.folder
    if folder.pair(number, member).is_file():
        load_pair(folder.pair(number, member), pair)
        return
    which = f" {member + 1} of {config.members_in_round(number)}" if config.members_in_round(number) > 1 else ""
    training.watcher.began(f"segmenter{which}, round {number}", config.round_steps if number else config.steps)
    state, told = folder.state(number, member), training.progress(f"segmenter{which}", number)
    learn_round(pair, lessons, config.settings_of_member(member), number=number, state_file=state, progress=told)
    save_pair(folder.pair(number, member), pair)
    state.unlink(missing_ok=True)


def _spread(count: int, most: int) -> list[int]:
    """Indices of at most so many of ``count``, evenly spread."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def require_labels(folder: Folder) -> None:
    """Raise where the stages before the segmenter have not been run.

    Raises
    ------
    CheckpointError
        No encoder, or no pseudo labels.
    """
    if not folder.encoder.is_file() or not any(folder.path.glob("pseudolabels/*.npz")):
        raise CheckpointError(
            f"{folder.path}: no pseudo labels in it: run wsipsm pseudomask with the same inputs and settings first, or "
            "leave out --stage segmenter"
        )

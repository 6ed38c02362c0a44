"""Stages before the segmenter: samples of the slides, the activation network, pseudo labels.

Each stage leaves files that the next one reads, and does not repeat what an earlier start left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wsipsm.config import Config
from wsipsm.core.errors import CheckpointError, FitError, SlideError
from wsipsm.nuclei.activation import ActivationNet
from wsipsm.nuclei.nets.checkpoint import load_checkpoint, save_checkpoint
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.nuclei.pretrain import pretrain
from wsipsm.training.context import TrainingContext
from wsipsm.training.folder import Folder
from wsipsm.training.inputs import Skipped, Source, refuse_nothing
from wsipsm.training.pseudo_labels import write_pseudo_labels
from wsipsm.training.slide_sample import SlideSample, slide_sample

COHORT_SLIDES, COHORT_PATCHES = 64, 24
"""The encoder learns from so many slides at most, and so many patches of each; of few slides from more of each."""
_ENOUGH_CROPS = 4


def sample_slides(training: TrainingContext, sources: Sequence[Source]) -> list[SlideSample]:
    """Sample every slide; one without tissue is left out and noted.

    Raises
    ------
    FitError
        Nothing, or too little, is left.
    """
    found = []
    with training.stage("fields"):
        for source in training.each("fields", sources):
            try:
                found.append(slide_sample(source, training.config, file=training.folder.fields(source.name)))
            except (FitError, SlideError) as error:
                training.leave_out(Skipped(source.path, error))
        refuse_nothing(found, training.skipped)
        refuse_little(found, training.config)
    return found


def refuse_little(samples: Sequence[SlideSample], config: Config) -> None:
    """Raise `FitError` where all fields together are smaller than a few crops."""
    pixels = sum(m.fields[..., 0].size for m in samples)
    least = _ENOUGH_CROPS * config.training.patch_px**2
    if pixels < least:
        side, mpp = round(least**0.5), config.grid.mpp
        raise FitError(
            f"{samples[0].source.path}: only {pixels} px to learn from at {mpp:g} um/px, expected at least {least} "
            f"({side} x {side}): learn from more tissue"
        )


def learn_encoder(training: TrainingContext, samples: Sequence[SlideSample]) -> ActivationNet:
    """Activation network, pretrained on all slides together."""
    config, file = training.config.encoder, training.folder.encoder
    with training.stage("encoder"), limited_threads(config.threads):
        if not file.is_file():
            progress, stain = training.progress("encoder", 0, steps=config.steps), training.config.recognizer.stain
            net = pretrain(cohort(samples), config, stain=stain, device=training.device, progress=progress)
            save_checkpoint(file, net.checkpoint())
        return ActivationNet.of_checkpoint(load_checkpoint(file, kinds=("encoder",)), device=training.device)


def cohort(samples: Sequence[SlideSample]) -> list[Any]:
    """Patches of each slide that the encoder learns from, evenly spread over slides and places."""
    chosen = [samples[i] for i in _spread(len(samples), COHORT_SLIDES)]
    found = []
    for one in chosen:
        patches = one.patches()
        found.append(patches[_spread(len(patches), max(COHORT_PATCHES, -(-len(patches) // len(chosen))))])
    return found


def needs_encoder(config: Config) -> bool:
    """Whether pseudo labels come from an activation map."""
    return config.pseudolabels.source == "pseudo_mask"


def label_slides(
    training: TrainingContext, samples: Sequence[SlideSample], net: ActivationNet | None
) -> list[SlideSample]:
    """Write pseudo labels of every field, by the pseudo mask of its slide; return the slides that have them.

    Parameters
    ----------
    training : TrainingContext
        Configuration, folder, device.
    samples : sequence of SlideSample
        Patches and fields of the slides.
    net : ActivationNet or None
        Trained; None where labels are by hue.
    """
    config, kept = training.config, []
    with training.stage("pseudolabels"), limited_threads(config.encoder.threads):
        for one in training.each("pseudo labels", samples):
            file = training.folder.labels(one.source.name)
            try:
                write_pseudo_labels(one, net, config, file=file, device=training.device)
                kept.append(one)
            except FitError as error:
                training.leave_out(Skipped(one.source.path, error))
        refuse_nothing(kept, training.skipped)
    return kept


def require_labels(folder: Folder, config: Config) -> None:
    """Raise where the folder lacks what the segmenter learns from.

    Raises
    ------
    CheckpointError
        No encoder, or no pseudo labels.
    """
    encoder = folder.encoder.is_file() or not needs_encoder(config)
    if not encoder or not any(folder.path.glob("pseudolabels/*.npz")):
        raise CheckpointError(
            f"{folder.path}: no pseudo labels in it: run wsipsm pseudomask with the same inputs and settings first, or "
            "leave out --stage segmenter"
        )


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` indices below ``count``, evenly spread."""
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, most)).round())]

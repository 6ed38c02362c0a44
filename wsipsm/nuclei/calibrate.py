"""Calibration of one slide for a segmenter: constants of its staining and levels, frozen with the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipsm.config import Config
from wsipsm.core.errors import CheckpointError
from wsipsm.core.stains import Stain
from wsipsm.nuclei.levels import find_levels
from wsipsm.nuclei.models import fits_resolution
from wsipsm.nuclei.nets.checkpoint import load_checkpoint
from wsipsm.nuclei.nets.device import Device, computing_threads
from wsipsm.nuclei.recognizer import SegmenterRecognizer
from wsipsm.nuclei.resolution import nuclear_scale
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import SlideStats, measure_slide

Patches = npt.NDArray[np.uint8]


def calibrate_segmenter(
    patches: Patches, config: Config, *, model: Path, device: Device, windows: Patches | None = None
) -> SegmenterRecognizer:
    """Recogniser of one slide by a trained segmenter, calibrated to the staining and the outlines of the slide.

    Parameters
    ----------
    patches : (n, p, p, 3) uint8
        RGB at ``config.grid.mpp``.
    config : Config
        Sections ``grid``, ``recognizer``, ``classes``, ``segmenter`` and ``labels`` are used.
    model : Path
        Checkpoint of kind ``segmenter`` or ``segmenter-fit``.
    device : {'cpu', 'cuda'}
        Where to compute.
    windows : (m, w, w, 3) uint8, optional
        In which cells are sought to find the levels of the slide; larger than ``patches``, which serve by default.

    Raises
    ------
    FitError
        Too little tissue.
    CheckpointError
        ``model`` is no such checkpoint, or was trained at another resolution or for other stains.
    """
    stain, own = config.recognizer.stain, config.segmenter
    net = load_segmenter(model, mpp=config.grid.mpp, stain=stain, device=device)
    stats = slide_stats(patches, config)
    seen = patches if windows is None else windows
    with computing_threads(device) as threads:
        # Its model is of he.safetensors; it takes longest, so it begins first.
        sized = threads.submit(lambda: nuclear_scale(seen, net, stats, mpp=config.grid.mpp) if stain == "he" else None)
        levels = find_levels(seen, net, stats, config=own, rules=config.labels, threads=threads)
        scaled, levels = stats.scaled(levels.input_scale), replace(levels, nuclear_scale=sized.result())
    return SegmenterRecognizer(net, scaled, own, levels)


def slide_stats(patches: Patches, config: Config) -> SlideStats:
    """Constants of a slide's staining as the configuration asks for them; errors as `measure_slide`."""
    stats = measure_slide(patches, config.recognizer.stain, config.recognizer.stain_vectors)
    return replace(stats, without_chromogen=config.classes.around_nuclei)


def load_segmenter(model: Path, *, mpp: float, stain: Stain = "he", device: Device) -> SegmentationNet:
    """Network of a checkpoint of kind ``segmenter`` or ``segmenter-fit`` that was trained for such slides.

    Parameters
    ----------
    model : Path
        The checkpoint.
    mpp : float
        Working resolution, micrometres per pixel.
    stain : Stain
        Of the run.
    device : {'cpu', 'cuda'}
        Where it will compute.

    Raises
    ------
    CheckpointError
        It is no such checkpoint, or was trained at another resolution or for other stains.
    """
    net = SegmentationNet.of_checkpoint(load_checkpoint(model, kinds=("segmenter", "segmenter-fit")), device=device)
    refuse_other_stain(model, net.stain, stain)
    if not fits_resolution(mpp, net.mpp):
        raise CheckpointError(
            f"{model}: trained at {net.mpp:g} µm/px, the run asks for {mpp:g}: use --mpp {net.mpp:g}, a checkpoint "
            f"trained at {mpp:g}, or --recognizer psm"
        )
    return net


def refuse_other_stain(file: Path, trained: Stain, wanted: Stain) -> None:
    """Raise CheckpointError unless a file was trained for the stains that are wanted.

    Parameters
    ----------
    file : Path
        The checkpoint.
    trained, wanted : Stain
        Of its slides, and of the run's.
    """
    if trained != wanted:
        raise CheckpointError(
            f"{file}: trained for recognizer.stain={trained}, expected {wanted}: use --set recognizer.stain={trained}, "
            "or another checkpoint"
        )

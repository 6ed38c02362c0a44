"""Calibration of one slide: the constants of its staining and its clusters, frozen with the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from wsipsm.config import Config
from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.core.geometry import crop
from wsipsm.core.stains import Stain
from wsipsm.nuclei.activation import ActivationNet
from wsipsm.nuclei.learning import Progress
from wsipsm.nuclei.levels import find_levels
from wsipsm.nuclei.models import fits_resolution
from wsipsm.nuclei.nets.checkpoint import load_checkpoint
from wsipsm.nuclei.nets.device import computing_threads
from wsipsm.nuclei.pretrain import Patches, pretrain
from wsipsm.nuclei.pseudomask import FeatureScales, features, fit_clusters
from wsipsm.nuclei.recognizer import PsmRecognizer, SegmenterRecognizer
from wsipsm.nuclei.resolution import nuclear_scale
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import MIN_TISSUE_PX, SlideStats, measure_slide
from wsipsm.stain.optics import Floats, optical_density, tissue_pixels


def calibrate_psm(
    patches: Patches,
    config: Config,
    *,
    encoder: ActivationNet | Path | None = None,
    device: torch.device,
    progress: Progress | None = None,
) -> PsmRecognizer:
    """Recogniser of one slide, from patches of its tissue.

    Parameters
    ----------
    patches : (n, p, p, 3) uint8
        RGB at ``config.grid.mpp``.
    config : Config
        Sections ``grid``, ``recognizer``, ``classes``, ``encoder`` and ``pseudomask`` are used.
    encoder : ActivationNet or Path, optional
        A network or its checkpoint of either kind; trained on the patches by default. Of a ``fit``
        checkpoint the network alone is taken: the constants of one slide do not hold for another.
    device : torch.device
        Where to compute.
    progress : callable, optional
        Called after every step of learning.

    Raises
    ------
    FitError
        Too little tissue.
    CheckpointError
        ``encoder`` is a file that is no checkpoint, or of networks for other stains.
    """
    stain = config.recognizer.stain
    stats = slide_stats(patches, config)
    if encoder is None:
        net = pretrain([patches], config.encoder, stain=stain, device=device, progress=progress)
    elif isinstance(encoder, Path):
        net = load_encoder(encoder, stain=stain, device=device)
    else:
        net = encoder
    rng = np.random.default_rng(config.encoder.seed)
    pixels = sample_features(patches, net, stats, config=config, rng=rng)
    clusters = fit_clusters(pixels, config.pseudomask, mpp=config.grid.mpp, seed=config.encoder.seed)
    return PsmRecognizer(net, stats, clusters)


def calibrate_segmenter(
    patches: Patches, config: Config, *, model: Path, device: torch.device, windows: Patches | None = None
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
    device : torch.device
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
        # Its model is of he.pt; it takes longest, so it begins first.
        sized = threads.begin(lambda: nuclear_scale(seen, net, stats, mpp=config.grid.mpp) if stain == "he" else None)
        levels = find_levels(seen, net, stats, config=own, rules=config.labels, threads=threads)
        scaled, levels = stats.scaled(levels.input_scale), replace(levels, nuclear_scale=sized.result())
        ranges = net.ranges(list(seen), scaled, threads) if own.precision == "int8" else None
    return SegmenterRecognizer(net, scaled, own, levels, ranges=ranges)


def slide_stats(patches: Patches, config: Config) -> SlideStats:
    """Constants of a slide's staining as the configuration asks for them; errors as `measure_slide`."""
    stats = measure_slide(patches, config.recognizer.stain, config.recognizer.stain_vectors)
    return replace(stats, without_chromogen=config.classes.around_nuclei)


def load_encoder(file: Path, *, stain: Stain, device: torch.device) -> ActivationNet:
    """Activation network of a checkpoint of kind ``encoder`` or ``fit`` that was trained for these stains.

    Parameters
    ----------
    file : Path
        The checkpoint.
    stain : Stain
        Of the run.
    device : torch.device
        Where it will compute.

    Raises
    ------
    CheckpointError
        It is no such checkpoint, or was trained for other stains.
    """
    net = ActivationNet.of_checkpoint(load_checkpoint(file, kinds=("encoder", "fit")), device=device)
    _refuse_other_stain(file, net.stain, stain)
    return net


def load_segmenter(model: Path, *, mpp: float, stain: Stain = "he", device: torch.device) -> SegmentationNet:
    """Network of a checkpoint of kind ``segmenter`` or ``segmenter-fit`` that was trained for such slides.

    Parameters
    ----------
    model : Path
        The checkpoint.
    mpp : float
        Working resolution, micrometres per pixel.
    stain : Stain
        Of the run.
    device : torch.device
        Where it will compute.

    Raises
    ------
    CheckpointError
        It is no such checkpoint, or was trained at another resolution or for other stains.
    """
    net = SegmentationNet.of_checkpoint(load_checkpoint(model, kinds=("segmenter", "segmenter-fit")), device=device)
    _refuse_other_stain(model, net.stain, stain)
    if not fits_resolution(mpp, net.mpp):
        raise CheckpointError(
            f"{model}: trained at {net.mpp:g} µm/px, the run asks for {mpp:g}: use --mpp {net.mpp:g}, a checkpoint "
            f"trained at {mpp:g}, or --recognizer psm"
        )
    return net


def _refuse_other_stain(file: Path, trained: Stain, wanted: Stain) -> None:
    if trained != wanted:
        raise CheckpointError(
            f"{file}: trained for recognizer.stain={trained}, expected {wanted}: use --set recognizer.stain={trained}, "
            "or another checkpoint"
        )


def sample_features(
    patches: Patches, net: ActivationNet, stats: SlideStats, *, config: Config, rng: np.random.Generator
) -> Floats:
    """Features of pixels drawn without replacement from the tissue of the patches.

    Parameters
    ----------
    patches : (n, p, p, 3) uint8
        RGB.
    net : ActivationNet
        Trained.
    stats : SlideStats
        Constants of the slide's staining.
    config : Config
        Sections ``grid`` and ``pseudomask`` are used.
    rng : Generator
        Draws the pixels.

    Returns
    -------
    (n, 3) float32
        At most ``config.pseudomask.pixels``.

    Raises
    ------
    FitError
        The patches are smaller than the halo of the features, or nearly empty inside it.
    """
    scales = FeatureScales.of(config.pseudomask, config.grid.mpp)
    halo = net.halo_px + scales.halo_px
    side = min(patches.shape[1:3])
    if side <= 2 * halo:
        raise FitError(
            f"patches of {side} px leave nothing inside the features' halo of {halo} px: raise encoder.patch_px"
        )
    found = []
    for patch in patches:
        seen = crop(patch, net.halo_px)
        tissue = tissue_pixels(optical_density(crop(patch, halo)))
        found.append(features(seen, net.maps(patch, stats), scales, vectors=stats.vectors)[tissue])
    pixels = np.concatenate(found)
    if len(pixels) < MIN_TISSUE_PX // 4:
        raise FitError(f"only {len(pixels)} sampled tissue pixels, expected at least {MIN_TISSUE_PX // 4}")
    return pixels[rng.permutation(len(pixels))[: config.pseudomask.pixels]]

"""Calibration of one slide for the pseudo mask: constants of its staining and clusters, frozen with the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wsipsm.config import Config
from wsipsm.core.errors import FitError
from wsipsm.core.geometry import crop
from wsipsm.core.stains import Stain
from wsipsm.nuclei.activation import ActivationNet
from wsipsm.nuclei.calibrate import refuse_other_stain, slide_stats
from wsipsm.nuclei.learning import Progress
from wsipsm.nuclei.nets.checkpoint import load_checkpoint
from wsipsm.nuclei.nets.device import Device
from wsipsm.nuclei.pretrain import Patches, pretrain
from wsipsm.nuclei.pseudomask import FeatureScales, features, fit_clusters
from wsipsm.nuclei.psm import PsmRecognizer
from wsipsm.stain.normalise import MIN_TISSUE_PX, SlideStats
from wsipsm.stain.optics import Floats, optical_density, tissue_pixels


def calibrate_psm(
    patches: Patches,
    config: Config,
    *,
    encoder: ActivationNet | Path | None = None,
    device: Device,
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
    device : {'cpu', 'cuda'}
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


def load_encoder(file: Path, *, stain: Stain, device: Device) -> ActivationNet:
    """Activation network of a checkpoint of kind ``encoder`` or ``fit`` that was trained for these stains.

    Parameters
    ----------
    file : Path
        The checkpoint.
    stain : Stain
        Of the run.
    device : {'cpu', 'cuda'}
        Where it will compute.

    Raises
    ------
    CheckpointError
        It is no such checkpoint, or was trained for other stains.
    """
    net = ActivationNet.of_checkpoint(load_checkpoint(file, kinds=("encoder", "fit")), device=device)
    refuse_other_stain(file, net.stain, stain)
    return net


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

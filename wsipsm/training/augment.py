"""Augmented crops: random position, scale, rotation, mirroring, stain strength, blur and noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.config import TrainingConfig
from wsipsm.stain.optics import Floats
from wsipsm.stain.registry import HE_VECTORS
from wsipsm.training.targets import Target

_TO_STAINS = np.linalg.inv(np.array(HE_VECTORS)).astype(np.float32)
_FROM_STAINS = np.array(HE_VECTORS, np.float32)
_LEAK = 0.15  # of one stain into the other, as vectors that were found are never quite right
_SHARE = 0.3  # of the samples that are blurred, and of those that get noise


class Sample(NamedTuple):
    """Crop: input (planes, y, x) and targets (y, x), all float32."""

    planes: Floats
    nucleus: Floats
    distance: Floats
    weight: Floats


def draw(
    planes_of: Callable[[tuple[slice, slice]], Floats],
    target: Target,
    config: TrainingConfig,
    rng: np.random.Generator,
    *,
    colours: bool,
) -> Sample:
    """Draw an augmented crop of a field.

    Parameters
    ----------
    planes_of : callable
        Planes of a window of the field, (y, x, 3) float32; see :func:`wsipsm.stain.normalise.relative_planes`.
    target : Target
        Of the field.
    config : TrainingConfig
        Side of a crop, and strength of each augmentation.
    rng : numpy.random.Generator
        The only source of randomness.
    colours : bool
        The planes are densities of red, green and blue in H&E; otherwise of the stains.
    """
    side = config.patch_px
    scale = np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale)))
    reach = min(round(side / scale), *target.distance.shape)
    y, x = (int(rng.integers(limit - reach + 1)) for limit in target.distance.shape)
    window = slice(y, y + reach), slice(x, x + reach)
    turn, mirror = int(rng.integers(4)), bool(rng.integers(2))

    def cut(plane: npt.NDArray[Any], how: int) -> npt.NDArray[Any]:
        resized = cv2.resize(np.ascontiguousarray(plane), (side, side), interpolation=how)
        turned = np.rot90(resized, turn)
        return np.ascontiguousarray(turned[:, ::-1] if mirror else turned)

    inter = cv2.INTER_AREA if reach > side else cv2.INTER_LINEAR
    binary = cv2.INTER_NEAREST_EXACT if target.nucleus.dtype == np.uint8 else inter
    return Sample(
        planes=np.ascontiguousarray(_disturbed(cut(planes_of(window), inter), config, rng, colours).transpose(2, 0, 1)),
        nucleus=cut(target.nucleus[window], binary).astype(np.float32),
        distance=cut(target.distance[window], inter),
        weight=cut(target.weight[window], cv2.INTER_NEAREST_EXACT),
    )


def _disturbed(planes: Floats, config: TrainingConfig, rng: np.random.Generator, colours: bool) -> Floats:
    """Planes with jittered stain strengths and an offset of the density, blur and noise; (y, x, 3) float32."""
    strength = rng.uniform(1 - config.stain_jitter, 1 + config.stain_jitter, 3).astype(np.float32)
    shift = rng.uniform(-config.od_shift, config.od_shift, 3).astype(np.float32)
    restained: Floats
    if colours:
        restained = np.asarray(((planes @ _TO_STAINS) * strength + shift) @ _FROM_STAINS, np.float32)
    else:
        restained = planes * strength + shift
        restained += np.float32(rng.uniform(-_LEAK, _LEAK)) * planes[..., [1, 0, 2]]
        restained[..., 2] = restained[..., :2].mean(axis=-1)
    if rng.random() < _SHARE:
        restained = np.asarray(cv2.GaussianBlur(restained, (0, 0), rng.uniform(0.3, config.blur_px)), np.float32)
    if rng.random() < _SHARE:
        noise = rng.standard_normal(restained.shape, np.float32)
        restained = restained + noise * np.float32(rng.uniform(0, config.noise_od))
    return restained

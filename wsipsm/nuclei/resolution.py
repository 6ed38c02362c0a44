"""Resolution of a slide, as its nuclei show it: an estimate without labels, and the warning of one that does not fit.

Nuclei of all tissues are about as large, and the segmenter sees them best at the resolution that it was trained at. So
patches are rescaled by a ladder of factors, and on each rung two numbers are taken from the maps of the segmenter: how
large the cores of nuclei are, and how high their distance maps rise. A linear model of both on three neighbouring rungs
says how far the middle one is from the right resolution; the middle moves until it is about right.

What stays is that nuclei differ: those of lymphocytes are small and those of carcinomas large, by a factor of 1.5. One
field of one tissue cannot tell that from another resolution (`SPREAD`), and no slide is processed otherwise because of
an estimate.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Image, Map, crop
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import SlideStats
from wsipsm.stain.optics import smooth

SPREAD = 1.4
"""Nine of ten estimates are within this factor of the truth (``python -m benchmarks.resolution``)."""
WARN_FACTOR = 1.45
"""A resolution that seems off by this factor or more is worth a warning: about half way to one that is off by two."""
RUNGS_AN_OCTAVE = 2
MAX_RUNG = 6
"""Rungs up and down that are tried: factors of 1/8 to 8."""

_MEAN = (3.0818, 2.8383, 2.4876, 0.7671, 0.7603, 0.7213)
_COEFFICIENTS = (0.2752, 0.1617, -0.6009, -0.9898, -0.4657, -3.8497)
_OFFSET = -0.05
"""The model: log2 of the factor is offset + coefficients x (features - mean), features being those of `Rung` on the
rung below, the middle one and the one above. Fitted by ``python -m benchmarks.resolution --fit`` to the 34 images of
MoNuSeg whose resolution is beyond doubt, at factors of 0.7 to 1.4, for the shipped segmenter; the offset, then 0, puts
0.75 and 1.25 equally far away."""

_BUDGET_PX = 200_000
_SIDE_PX = 224
"""Most pixels that the network sees on each rung, and of each patch: many places say more than a large one."""
_MARGIN_PX = 8
"""Mirror image around a patch, for what the network sees beyond its borders."""
STRENGTH = 1.4
"""Factor on the stain levels: fields with few nuclei are otherwise amplified until fibres look like nuclei."""
_CORE_DISTANCE = 0.4
_CORE_SMOOTHING_PX = 0.8
_MIN_CORE_PX = 3
_MIN_CORES = 16
"""A core is where the smoothed distance map exceeds this; smaller ones are noise, and fewer on a rung say nothing."""
_DULL = 0.3
"""Cores count by how far their peak exceeds this."""
_REACH = 0.75
"""Most that the model is believed at once, octaves."""
_FITS_TOO, _AS_CLEAR = 0.4, 0.05
"""Nuclei fit at half the size too where the model is off by less, octaves, and their peaks are no lower than that."""


@dataclass(frozen=True, slots=True)
class NuclearScale:
    """How far the claimed resolution is off, by the nuclei.

    Attributes
    ----------
    factor : float
        True over claimed micrometres per pixel: 1 is right, at 2 nuclei look half as large as they are.
    cores : int
        Nuclei that say so.
    """

    factor: float
    cores: int

    @property
    def doubtful(self) -> bool:
        """Whether the claimed resolution seems so far off that a person should look."""
        return abs(math.log2(self.factor)) >= math.log2(WARN_FACTOR)

    def warning(self, mpp_l0: float) -> str:
        """Warning of a slide that claims ``mpp_l0`` micrometres per level-0 pixel."""
        times, size = max(self.factor, 1 / self.factor), "small" if self.factor > 1 else "large"
        likely = f"{mpp_l0 * self.factor:.2g}"
        return (
            f"resolution does not fit the nuclei: at {mpp_l0:.3g} µm/px they look {times:.1f} times too {size}; "
            f"if the slide has {likely} µm/px, use --slide-mpp {likely}"
        )


@dataclass(frozen=True, slots=True)
class Rung:
    """Cores of nuclei in patches at one scale.

    Attributes
    ----------
    size : float
        Weighted mean of log2 of the diameter of the cores, network pixels.
    peak : float
        Weighted mean of the highest smoothed distance in each core.
    cores : int
        Their number.
    """

    size: float
    peak: float
    cores: int


def nuclear_scale(
    patches: npt.NDArray[np.uint8], net: SegmentationNet, stats: SlideStats, *, mpp: float | None = None
) -> NuclearScale | None:
    """Factor between the true resolution of patches and the claimed one; None where nuclei are too few.

    Costs five looks of the network at 0.2 megapixels where the claim is right, and as many where it is off by two.

    Parameters
    ----------
    patches : (n, y, x, 3) uint8
        RGB of tissue; a sample of them is used.
    net : SegmentationNet
        Segmenter for the stains of the slide.
    stats : SlideStats
        Of the slide, as `wsipsm.stain.normalise.measure_slide` gives them: not rescaled by a calibration.
    mpp : float, optional
        Claimed micrometres per pixel of the patches; by default those of the network.
    """
    strong, claimed = stats.scaled(STRENGTH), (mpp or net.mpp) / net.mpp
    return climb(lambda rung: look(patches, net, strong, scale=claimed / 2 ** (rung / RUNGS_AN_OCTAVE)))


def climb(rung_at: Callable[[int], Rung | None]) -> NuclearScale | None:
    """Walk the ladder to the rung at which the model says that the resolution is right.

    Parameters
    ----------
    rung_at : callable
        Gives what is seen where patches are shrunk by ``rung`` half octaves.
    """
    seen = functools.cache(rung_at)
    found = _settle(seen, 0)
    if found is None:
        return None
    # Where nuclei look too large, parts of them pass for nuclei: then they fit as well at half the size, whole.
    smaller = _stand(seen, found.middle + RUNGS_AN_OCTAVE)
    if smaller is not None and smaller.off < _FITS_TOO and smaller.rung.peak > found.rung.peak - _AS_CLEAR:
        found = _settle(seen, smaller.middle) or found
    return NuclearScale(2 ** (found.off - found.middle / RUNGS_AN_OCTAVE), found.rung.cores)


@dataclass(frozen=True, slots=True)
class _Stand:
    """A rung, and the octaves by which the model finds it off."""

    middle: int
    off: float
    rung: Rung


def _settle(seen: Callable[[int], Rung | None], start: int) -> _Stand | None:
    """Best of the rungs on the way from ``start`` to where the model says that the resolution is right."""
    stands: dict[int, _Stand] = {}
    middle = start
    while middle not in stands and abs(middle) < MAX_RUNG and (here := _stand(seen, middle)) is not None:
        stands[middle] = here
        middle -= round(here.off * RUNGS_AN_OCTAVE)
    return min(stands.values(), key=lambda stand: abs(stand.off), default=None)


def _stand(seen: Callable[[int], Rung | None], middle: int) -> _Stand | None:
    rungs = [rung for step in (-1, 0, 1) if (rung := seen(middle + step)) is not None]
    if len(rungs) < 3:
        return None
    return _Stand(middle, max(-_REACH, min(_REACH, model(rungs))), rungs[1])


def features(rungs: list[Rung]) -> npt.NDArray[np.float64]:
    """What the model sees of three neighbouring rungs, (6,)."""
    return np.array([*(rung.size for rung in rungs), *(rung.peak for rung in rungs)])


def model(rungs: list[Rung]) -> float:
    """log2 of the factor between the true resolution of the middle rung and that of the network."""
    return float(_OFFSET + np.dot(_COEFFICIENTS, features(rungs) - _MEAN))


def look(patches: npt.NDArray[np.uint8], net: SegmentationNet, stats: SlideStats, *, scale: float) -> Rung | None:
    """What the network sees of patches that are enlarged by ``scale``; None if that are hardly any nuclei.

    Parameters
    ----------
    patches : (n, p, p, 3) uint8
        RGB at the claimed resolution.
    net : SegmentationNet
        Trained for one resolution.
    stats : SlideStats
        Constants of the slide's staining.
    scale : float
        Pixels of the enlarged patch for one of the patch.
    """
    found = [cores(net.maps(mirrored(patch), stats)) for patch in rescaled(patches, scale)]
    logs, peaks = (np.concatenate(values) for values in zip(*found, strict=True))
    if len(logs) < _MIN_CORES:
        return None
    weights = np.clip(peaks - _DULL, 0.01, None)
    return Rung(float(np.average(logs, weights=weights)), float(np.average(peaks, weights=weights)), len(logs))


def rescaled(patches: npt.NDArray[np.uint8], scale: float) -> list[Image]:
    """As many of the patches as the budget bears, enlarged by ``scale``; the middle of large ones."""
    height, width = (max(_MARGIN_PX + 1, round(side * scale)) for side in patches.shape[1:3])
    count = max(1, _BUDGET_PX // (min(height, _SIDE_PX) * min(width, _SIDE_PX)))
    chosen = np.linspace(0, len(patches) - 1, min(count, len(patches))).round().astype(int)
    return [_middle(_resized(patches[i], height, width)) for i in chosen]


def mirrored(patch: Image) -> Image:
    """Patch with its mirror image around it."""
    return np.pad(patch, [(_MARGIN_PX, _MARGIN_PX), (_MARGIN_PX, _MARGIN_PX), (0, 0)], mode="reflect")


def cores(maps: tuple[Map, Map]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """log2 of the diameter in pixels, and peak, of the cores that lie within a patch whose maps these are."""
    distance = smooth(crop(maps[1], _MARGIN_PX), _CORE_SMOOTHING_PX)
    inside = (distance > _CORE_DISTANCE).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(inside, connectivity=4)
    peaks = np.zeros(count)
    np.maximum.at(peaks, np.asarray(labels, np.intp), distance)
    left, top, width, height, area = boxes.T
    whole = (left > 0) & (top > 0) & (left + width < inside.shape[1]) & (top + height < inside.shape[0])
    whole &= area >= _MIN_CORE_PX
    whole[0] = False
    return np.log2(np.sqrt(4 / math.pi * area[whole])), peaks[whole]


def _resized(image: Image, height: int, width: int) -> Image:
    method = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)


def _middle(image: Image) -> Image:
    top, left = (max(0, (size - _SIDE_PX) // 2) for size in image.shape[:2])
    return np.ascontiguousarray(image[top : top + _SIDE_PX, left : left + _SIDE_PX])

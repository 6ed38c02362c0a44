"""Labels that nobody drew: of the pseudo mask at first, of the segmenter itself from then on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from wsipsm.cells import instances as labels
from wsipsm.config import Config, LabelsConfig, TrainingConfig
from wsipsm.core.geometry import Image, Map
from wsipsm.core.maps import DECISION
from wsipsm.nuclei.recognizer import PsmRecognizer
from wsipsm.nuclei.segmentation import SegmentationNet, evidence_of
from wsipsm.stain.normalise import SlideStats
from wsipsm.stain.optics import Floats
from wsipsm.training.targets import Instances, trusted

_SURE = 80
"""Evidence beyond the border of the pseudo mask, times two, that counts as certain."""

Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True)
class Taught:
    """Labels of one field.

    Attributes
    ----------
    labels : (y, x) int32
        Instances; 0 is background.
    probability : (y, x) float32
        Of nucleus, 0 to 1; 0.5 is the border of the mask.
    activation : (y, x) uint8
        Activation map, 255 is 1; of a segmenter nothing, (0, 0).
    """

    labels: Instances
    probability: Map
    activation: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Counts:
    """Instances of some fields, and how many of them are doubtful."""

    instances: int
    doubtful: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.instances + other.instances, self.doubtful + other.doubtful)


def labels_of_psm(image: Image, recognizer: PsmRecognizer, config: Config) -> Taught:
    """Labels of a field by the pseudo mask of its slide; beyond the field lies its mirror image."""
    activation, evidence, _, _ = recognizer.block(_mirrored(image, recognizer.halo_px))
    found = _instances(evidence, config.pseudolabels, config.grid.mpp)
    probability = np.clip(0.5 + (evidence.astype(np.float32) - DECISION) / _SURE, 0, 1)
    return Taught(found, probability, activation)


def labels_of_segmenters(
    image: Image, nets: Sequence[SegmentationNet], stats: SlideStats, config: Config, *, final_round: bool
) -> Taught:
    """Labels of a field by segmenters, their answers averaged over all of them and the four turns of the field.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB; beyond it lies its mirror image.
    nets : sequence of SegmentationNet
        Of one shape.
    stats : SlideStats
        Of the slide.
    config : Config
        Sections ``grid``, ``segmenter``, ``labels`` and ``training``.
    final_round : bool
        Find labels as a run finds cells, not as ``training.label_`` says.
    """
    mpp, halo, own = config.grid.mpp, nets[0].halo_px, config.training
    threshold, smoothing_um, rules = own.label_threshold, own.label_smoothing_um, config.labels
    if final_round:
        threshold, smoothing_um = config.segmenter.threshold, config.segmenter.distance_smoothing_um
    else:
        rules = rules.model_copy(update={"split_height": own.label_split_height})
    probability, depth = averaged_maps(_mirrored(image, halo), nets, stats)
    evidence = _crop(evidence_of(depth, threshold=threshold, smoothing_px=smoothing_um / mpp), halo)
    return Taught(_instances(evidence, rules, mpp), _crop(probability, halo), np.zeros((0, 0), np.uint8))


def averaged_maps(image: Image, nets: Sequence[SegmentationNet], stats: SlideStats) -> tuple[Floats, Floats]:
    """Probability and depth, the mean over segmenters and the image's four turns; two (y, x) float32."""
    sums: list[Floats] = []
    for turn in range(4):
        turned = np.ascontiguousarray(np.rot90(image, turn))
        for net in nets:
            maps = [np.rot90(m, -turn) for m in net.maps(turned, stats)]
            sums = [a + b for a, b in zip(sums, maps, strict=True)] if sums else maps
    probability, depth = (np.ascontiguousarray(total / np.float32(4 * len(nets))) for total in sums)
    return probability, depth


def count(taught: Taught, image: Image, config: TrainingConfig, *, mpp: float) -> Counts:
    """Instances of a field and the doubtful ones among them."""
    good = trusted(taught.labels, taught.probability, image, config, mpp=mpp)
    return Counts(len(good) - 1, int((~good).sum()))


def _instances(evidence: npt.NDArray[np.uint8], rules: LabelsConfig, mpp: float) -> Instances:
    """Instances of a field with nothing around it."""
    around = labels.halo_px(rules, mpp)
    window = np.pad(evidence, around)
    found = labels.instances(window, window >= DECISION, mpp=mpp, config=rules)
    return np.ascontiguousarray(found[around:-around, around:-around])


def _mirrored(image: Image, margin: int) -> Image:
    """Image with its reflection around it: white would say that tissue ends here."""
    return np.pad(image, [(margin, margin), (margin, margin), (0, 0)], mode="reflect")


def _crop(array: Array, margin: int) -> Array:
    inner = array[margin : array.shape[0] - margin, margin : array.shape[1] - margin]
    return cast(Array, np.ascontiguousarray(inner))

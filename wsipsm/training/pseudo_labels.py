"""Pseudo labels of fields: instances from the pseudo mask, or predicted by the EMA teachers; and their files."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import skimage.segmentation

from wsipsm.cells import instances as labels
from wsipsm.config import Config, LabelsConfig, TrainingConfig
from wsipsm.core.errors import CheckpointError
from wsipsm.core.geometry import Image, Map
from wsipsm.core.maps import DECISION
from wsipsm.nuclei.activation import ActivationNet
from wsipsm.nuclei.calibrate_psm import calibrate_psm
from wsipsm.nuclei.hue_planes import SMOOTHING_UM, hue_planes
from wsipsm.nuclei.nets.device import Device, computing_threads
from wsipsm.nuclei.psm import PsmRecognizer
from wsipsm.nuclei.segmentation import SegmentationNet, evidence_of
from wsipsm.stain.normalise import SlideStats
from wsipsm.stain.optics import Floats, smooth_radius_px
from wsipsm.training.slide_sample import SlideSample, load_arrays, write_arrays
from wsipsm.training.targets import Instances, trusted

_CERTAIN = 80
"""Evidence beyond the border of the pseudo mask, times two, that counts as a probability of 1."""
_LEAST_FREE = 0.6
_PLANES = ("labels", "probability", "activation")

Array = TypeVar("Array", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """Pseudo labels of one field.

    Attributes
    ----------
    labels : (y, x) int32
        Instances; 0 is background.
    probability : (y, x) float32
        Probability of nucleus, 0 to 1; 0.5 is the border of the mask.
    activation : (y, x) uint8
        Activation map, 255 is 1; empty, (0, 0), for labels by hue and of a segmenter.
    """

    labels: Instances
    probability: Map
    activation: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Counts:
    """Number of instances, and how many of them are doubtful."""

    instances: int
    doubtful: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.instances + other.instances, self.doubtful + other.doubtful)


def psm_labels(image: Image, recognizer: PsmRecognizer, config: Config) -> PseudoLabels:
    """Pseudo labels of a field from the pseudo mask of its slide; the field is mirrored at its border.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB of the field.
    recognizer : PsmRecognizer
        Of its slide.
    config : Config
        Sections ``grid`` and ``pseudolabels`` are used.
    """
    activation, evidence, _, _ = recognizer.block(_mirrored(image, recognizer.halo_px))
    found = _instances(evidence, config.pseudolabels, config.grid.mpp)
    probability = np.clip(0.5 + (evidence.astype(np.float32) - DECISION) / _CERTAIN, 0, 1)
    return PseudoLabels(found, probability, activation)


def hue_labels(image: Image, stats: SlideStats, config: Config) -> PseudoLabels:
    """Pseudo labels of a field by hue: brown instances, and those blue ones that mostly lie beside them.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB of the field.
    stats : SlideStats
        Constants of the slide's staining.
    config : Config
        Sections ``grid`` and ``pseudolabels`` are used.
    """
    margin = smooth_radius_px(SMOOTHING_UM / config.grid.mpp)
    planes = hue_planes(_mirrored(image, margin), stats, mpp=config.grid.mpp)
    brown, blue = (
        _instances(_crop(plane, margin), config.pseudolabels, config.grid.mpp) for plane in (planes.brown, planes.blue)
    )
    return PseudoLabels(_united(brown, blue), _crop(planes.probability, margin), np.zeros((0, 0), np.uint8))


def _united(first: Instances, second: Instances) -> Instances:
    """Instances of both; of the second those that are free for the most part, and only their free pixels."""
    free = np.bincount(second[first == 0], minlength=int(second.max(initial=0)) + 1)
    kept = free >= _LEAST_FREE * np.bincount(second.ravel(), minlength=len(free))
    kept[0] = False
    united = np.where((first == 0) & kept[second], second + first.max(initial=0), first)
    return np.asarray(skimage.segmentation.relabel_sequential(united)[0], np.int32)


def teacher_labels(
    image: Image, teachers: Sequence[SegmentationNet], stats: SlideStats, config: Config, *, final: bool
) -> PseudoLabels:
    """Pseudo labels of a field from the mean prediction of all teachers over the four rotations of the field.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB; mirrored at its border.
    teachers : sequence of SegmentationNet
        Of one architecture.
    stats : SlideStats
        Of the slide.
    config : Config
        Sections ``grid``, ``segmenter``, ``labels`` and ``training``.
    final : bool
        Find instances as a run finds cells; else by the ``training.label_*`` settings.
    """
    mpp, halo, own = config.grid.mpp, teachers[0].halo_px, config.training
    threshold, smoothing_um, rules = own.label_threshold, own.label_smoothing_um, config.labels
    if final:
        threshold, smoothing_um = own.final_threshold, config.segmenter.distance_smoothing_um
    else:
        rules = rules.model_copy(update={"split_height": own.label_split_height})
    probability, distance = averaged_maps(_mirrored(image, halo), teachers, stats, threads=own.threads)
    evidence = _crop(evidence_of(distance, threshold=threshold, smoothing_px=smoothing_um / mpp), halo)
    return PseudoLabels(_instances(evidence, rules, mpp), _crop(probability, halo), np.zeros((0, 0), np.uint8))


def maps_of_field(
    image: Image, teachers: Sequence[SegmentationNet], stats: SlideStats, *, threads: int = 1
) -> tuple[Floats, Floats]:
    """`averaged_maps` of a field that is mirrored at its border; two (y, x) float32.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB of the field.
    teachers, stats, threads
        As of `averaged_maps`.
    """
    halo = teachers[0].halo_px
    probability, distance = averaged_maps(_mirrored(image, halo), teachers, stats, threads=threads)
    return _crop(probability, halo), _crop(distance, halo)


def averaged_maps(
    image: Image, teachers: Sequence[SegmentationNet], stats: SlideStats, *, threads: int = 1
) -> tuple[Floats, Floats]:
    """Nucleus probability and distance map, means over teachers and four rotations; two (y, x) float32.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB of the field.
    teachers : sequence of SegmentationNet
        Whose predictions are averaged.
    stats : SlideStats
        Constants of the slide's staining.
    threads : int
        Of a CPU that compute; the result does not depend on them.
    """

    def seen(turned: tuple[int, SegmentationNet]) -> list[Floats]:
        turns, net = turned
        return [np.rot90(m, -turns) for m in net.maps(np.ascontiguousarray(np.rot90(image, turns)), stats)]

    with computing_threads(teachers[0].device, threads) as several:
        found = list(several.map(seen, [(turns, net) for turns in range(4) for net in teachers]))
    sums = [functools.reduce(np.add, maps) for maps in zip(*found, strict=True)]
    probability, distance = (np.ascontiguousarray(total / np.float32(4 * len(teachers))) for total in sums)
    return probability, distance


def count_labels(pseudo: PseudoLabels, image: Image, config: TrainingConfig, *, mpp: float) -> Counts:
    """Count the instances of a field and the doubtful ones among them.

    Parameters
    ----------
    pseudo : PseudoLabels
        Of the field.
    image : (y, x, 3) uint8
        RGB of the field.
    config : TrainingConfig
        The ``trusted_*`` keys are used.
    mpp : float
        Micrometres per pixel.
    """
    good = trusted(pseudo.labels, pseudo.probability, image, config, mpp=mpp)
    return Counts(len(good) - 1, int((~good).sum()))


def write_pseudo_labels(
    sample: SlideSample, net: ActivationNet | None, config: Config, *, file: Path, device: Device
) -> None:
    """Write the pseudo labels of all fields of a slide, unless the file is there and whole.

    Parameters
    ----------
    sample : SlideSample
        Patches and fields of the slide.
    net : ActivationNet or None
        Trained; None where labels are by hue.
    config : Config
        Of the training.
    file : Path
        To be written.
    device : {'cpu', 'cuda'}
        Where to compute.

    Raises
    ------
    FitError
        The slide has too little tissue to calibrate its pseudo mask.
    OutputError
        The file cannot be written.
    """
    try:
        load_pseudo_labels(file)
    except CheckpointError:
        if config.pseudolabels.source == "hue":
            found = [hue_labels(field, sample.stats, config) for field in sample.fields]
        else:
            recognizer = calibrate_psm(sample.patches(), config, encoder=net, device=device)
            found = [psm_labels(field, recognizer, config) for field in sample.fields]
        write_arrays(file, {name: np.stack([getattr(pseudo, name) for pseudo in found]) for name in _PLANES})


def load_pseudo_labels(file: Path) -> list[PseudoLabels]:
    """Pseudo labels of the fields of a slide, in their order.

    Raises
    ------
    CheckpointError
        The file is missing or damaged.
    """
    return [PseudoLabels(*planes) for planes in zip(*load_arrays(file, _PLANES), strict=True)]


def _instances(evidence: npt.NDArray[np.uint8], rules: LabelsConfig, mpp: float) -> Instances:
    """Instances of a field, padded with background."""
    around = labels.halo_px(rules, mpp)
    window = np.pad(evidence, around)
    found = labels.instances(window, window >= DECISION, mpp=mpp, config=rules)
    return _crop(found, around)


def _mirrored(image: Image, margin: int) -> Image:
    """Image padded with its reflection: white would look like the border of the tissue."""
    return np.pad(image, [(margin, margin), (margin, margin), (0, 0)], mode="reflect")


def _crop(array: Array, margin: int) -> Array:
    inner = array[margin : array.shape[0] - margin, margin : array.shape[1] - margin]
    return cast(Array, np.ascontiguousarray(inner))

"""What is applied to every block of a slide: a frozen network, and the constants of the slide.

:class:`SegmenterRecognizer` is the segmenter; :class:`PsmRecognizer` the pseudo mask itself, by the activation network
and the slide's clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from wsipsm.config import SegmenterConfig, with_new_names
from wsipsm.core.errors import CheckpointError
from wsipsm.core.geometry import Image, Map
from wsipsm.core.maps import OD_PER_STEP
from wsipsm.nuclei.activation import ActivationNet, Device
from wsipsm.nuclei.nets.checkpoint import load_checkpoint, save_checkpoint
from wsipsm.nuclei.pseudomask import Clusters, evidence, features
from wsipsm.nuclei.segmentation import SegmentationNet, evidence_of
from wsipsm.stain.normalise import SlideStats
from wsipsm.stain.optics import Floats, optical_density, unmix

Array = TypeVar("Array", bound=npt.NDArray[Any])


class Recognizer(Protocol):
    """What a tile needs to know of either."""

    fitted_on: str

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""

    def blocks(self, images: Sequence[Image]) -> list[npt.NDArray[np.uint8]]:
        """Compute the maps of blocks of one size, (4, y, x) uint8, from (y + 2 halo, x + 2 halo, 3) uint8 RGB."""

    def block(self, image: Image) -> npt.NDArray[np.uint8]:
        """Compute the maps of one block, as `blocks`."""
        return self.blocks([image])[0]

    def save(self, path: Path) -> None:
        """Write it as a checkpoint."""


class SegmenterRecognizer(Recognizer):
    """Maps of blocks of one slide by a trained segmenter.

    Parameters
    ----------
    net : SegmentationNet
        Frozen.
    stats : SlideStats
        Of the slide.
    config : SegmenterConfig
        Threshold and smoothing of what it found.
    fitted_on : str
        Tells the slide and the settings that ``stats`` hold for.
    """

    def __init__(self, net: SegmentationNet, stats: SlideStats, config: SegmenterConfig, fitted_on: str = "") -> None:
        self.net = net
        self.stats = stats
        self.config = config
        self.fitted_on = fitted_on

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on; a multiple of the network's stride."""
        return self.net.halo_px

    def blocks(self, images: Sequence[Image]) -> list[npt.NDArray[np.uint8]]:
        """Compute the maps of blocks.

        Parameters
        ----------
        images : sequence of (y + 2 halo, x + 2 halo, 3) uint8
            RGB on the grid, of one size.

        Returns
        -------
        list of (4, y, x) uint8
            In the order of ``CHANNELS``: probability of nucleus, 255 is 1; evidence, see
            :func:`wsipsm.nuclei.segmentation.evidence_of`; nuclear stain and counterstain, whose bytes are int8 steps
            of ``OD_PER_STEP`` optical density.
        """
        found = self.net.maps_of(images, self.stats)
        return [self._channels(image, *maps) for image, maps in zip(images, found, strict=True)]

    def _channels(self, image: Image, probability: Map, depth: Map) -> npt.NDArray[np.uint8]:
        smoothing_px = self.config.distance_smoothing_um / self.net.mpp
        found = evidence_of(depth, threshold=self.config.threshold, smoothing_px=smoothing_px)
        nuclear, counter = unmix(optical_density(_crop(image, self.halo_px)), self.stats.vectors)
        return np.stack(
            [
                _bytes(_crop(probability, self.halo_px) * 255),
                _crop(found, self.halo_px),
                _signed_bytes(nuclear / OD_PER_STEP),
                _signed_bytes(counter / OD_PER_STEP),
            ]
        )

    def save(self, path: Path) -> None:
        """Write all of it as one checkpoint of kind ``segmenter-fit``."""
        network = self.net.checkpoint()
        table = network.table | {
            "stats": self.stats.to_dict(),
            "settings": self.config.model_dump(mode="json"),
            "fitted_on": self.fitted_on,
        }
        save_checkpoint(path, replace(network, kind="segmenter-fit", table=table))


class PsmRecognizer(Recognizer):
    """Maps of blocks of one slide; nothing of a block but its own pixels enters.

    Parameters
    ----------
    net : ActivationNet
        Frozen.
    stats : SlideStats
        Of the slide.
    clusters : Clusters
        Of the slide.
    fitted_on : str
        Tells the slide and the settings that ``stats`` and ``clusters`` hold for.
    """

    def __init__(self, net: ActivationNet, stats: SlideStats, clusters: Clusters, fitted_on: str = "") -> None:
        self.fitted_on = fitted_on
        self.net = net
        self.stats = stats
        self.clusters = clusters

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.net.halo_px + self.clusters.halo_px

    def blocks(self, images: Sequence[Image]) -> list[npt.NDArray[np.uint8]]:
        """Compute the maps of blocks.

        Parameters
        ----------
        images : sequence of (y + 2 halo, x + 2 halo, 3) uint8
            RGB on the grid, of one size.

        Returns
        -------
        list of (4, y, x) uint8
            In the order of ``CHANNELS``: activation, 255 is 1; evidence, see :func:`wsipsm.nuclei.pseudomask.evidence`;
            nuclear stain and counterstain, whose bytes are int8 steps of ``OD_PER_STEP`` optical density.
        """
        found = self.net.maps_of(images, self.stats)
        return [self._channels(image, activation) for image, activation in zip(images, found, strict=True)]

    def _channels(self, image: Image, activation: Map) -> npt.NDArray[np.uint8]:
        inner = _crop(image, self.net.halo_px)
        halo = self.clusters.halo_px
        nuclear, counter = unmix(optical_density(_crop(inner, halo)), self.stats.vectors)
        return np.stack(
            [
                _bytes(_crop(activation, halo) * 255),
                evidence(self.features(inner, activation), self.clusters),
                _signed_bytes(nuclear / OD_PER_STEP),
                _signed_bytes(counter / OD_PER_STEP),
            ]
        )

    def features(self, image: Image, activation: Map) -> Floats:
        """Features as the clusters were fitted on; see :func:`wsipsm.nuclei.pseudomask.features`."""
        c = self.clusters
        return features(
            image,
            activation,
            vectors=self.stats.vectors,
            smoothing_px=c.smoothing_px,
            surroundings_px=c.surroundings_px,
            contrast=c.contrast,
        )

    def save(self, path: Path) -> None:
        """Write all of it as one checkpoint of kind ``fit``."""
        network = self.net.checkpoint()
        table = network.table | {
            "stats": self.stats.to_dict(),
            "clusters": self.clusters.to_dict(),
            "fitted_on": self.fitted_on,
        }
        save_checkpoint(path, replace(network, kind="fit", table=table))


def load_recognizer(path: Path, *, device: Device) -> Recognizer:
    """Recogniser of a checkpoint of kind ``fit`` or ``segmenter-fit``.

    Raises
    ------
    CheckpointError
        It is not one.
    """
    checkpoint = load_checkpoint(path, kinds=("fit", "segmenter-fit"))
    table, fitted_on = checkpoint.table, str(checkpoint.table.get("fitted_on", ""))
    try:
        stats = SlideStats.from_dict(table["stats"])
        if checkpoint.kind == "segmenter-fit":
            segmenter = SegmentationNet.of_checkpoint(checkpoint, device=device)
            settings = with_new_names({"segmenter": table["settings"]})["segmenter"]
            return SegmenterRecognizer(segmenter, stats, SegmenterConfig(**settings), fitted_on)
        net, clusters = ActivationNet.of_checkpoint(checkpoint, device=device), Clusters.from_dict(table["clusters"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the constants of the slide are missing or malformed: {error}") from None
    return PsmRecognizer(net, stats, clusters, fitted_on)


def fits(path: Path, fitted_on: str) -> bool:
    """Whether a checkpoint holds the constants of this very slide and these settings.

    Raises
    ------
    CheckpointError
        It is no checkpoint.
    """
    checkpoint = load_checkpoint(path)
    return checkpoint.kind in {"fit", "segmenter-fit"} and checkpoint.table.get("fitted_on") == fitted_on


def _crop(array: Array, margin: int) -> Array:
    return cast(Array, array[margin : array.shape[0] - margin, margin : array.shape[1] - margin])


def _bytes(plane: Floats) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def _signed_bytes(plane: Floats) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(plane), -128, 127).astype(np.int8).view(np.uint8)

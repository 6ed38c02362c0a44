"""Recognisers: a frozen network and the constants of one slide, applied to every block of the slide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from wsipsm.config import SegmenterConfig, with_new_names
from wsipsm.core.geometry import Image, Map, crop
from wsipsm.core.maps import CHANNELS, OD_PER_STEP
from wsipsm.nuclei.frozen import FrozenNet
from wsipsm.nuclei.levels import Levels
from wsipsm.nuclei.nets.checkpoint import Checkpoint, save_checkpoint
from wsipsm.nuclei.nets.device import Device
from wsipsm.nuclei.segmentation import SegmentationNet, evidence_of
from wsipsm.stain.normalise import SlideStats, stain_steps
from wsipsm.stain.optics import smooth_radius_px


class Recognizer(ABC):
    """Maps of blocks of one slide; nothing of a block but its own pixels enters.

    Parameters
    ----------
    net : FrozenNet
        Its network.
    stats : SlideStats
        Of the slide.
    fitted_on : str
        Key of the slide and the settings that the constants of the slide hold for.
    """

    kind: ClassVar[str]
    """Kind of its checkpoints."""

    def __init__(self, net: FrozenNet[Any], stats: SlideStats, fitted_on: str) -> None:
        self.net = net
        self.stats = stats
        self.fitted_on = fitted_on

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.net.halo_px

    def block(self, image: Image) -> npt.NDArray[np.uint8]:
        """Compute the maps of one block, as `blocks`."""
        return self.blocks([image])[0]

    def blocks(self, images: Sequence[Image]) -> list[npt.NDArray[np.uint8]]:
        """Compute the maps of blocks.

        Parameters
        ----------
        images : sequence of (y + 2 halo, x + 2 halo, 3) uint8
            RGB on the grid, of one size.

        Returns
        -------
        list of (4, y, x) uint8
            In the order of ``CHANNELS``: the network's map, 255 is 1; evidence; nuclear stain and counterstain, whose
            bytes are int8 steps of ``OD_PER_STEP`` optical density.
        """
        found = self._maps(images)
        return [self._channels(image, maps) for image, maps in zip(images, found, strict=True)]

    def _maps(self, images: Sequence[Image]) -> list[Any]:
        """The network's maps of blocks, as far out as the evidence depends on them."""
        return self.net.maps_of(images, self.stats)

    def _channels(self, image: Image, maps: Any) -> npt.NDArray[np.uint8]:
        from wsipsm.nuclei.compiled import bytes_of_shares

        activation, evidence = self._evidence(image, maps)
        channels = np.empty((len(CHANNELS), *evidence.shape), np.uint8)
        bytes_of_shares(activation, channels[0])
        channels[1] = evidence
        channels[2:] = stain_steps(crop(image, self.halo_px), self.stats, OD_PER_STEP).view(np.uint8)
        return channels

    @abstractmethod
    def _evidence(self, image: Image, maps: Any) -> tuple[Map, npt.NDArray[np.uint8]]:
        """The network's map, 0 to 1, and the evidence inside the halo of a block."""

    def save(self, path: Path) -> None:
        """Write network and constants of the slide as one checkpoint."""
        network = self.net.checkpoint()
        constants = {"stats": self.stats.to_dict(), "fitted_on": self.fitted_on} | self._constants()
        save_checkpoint(path, replace(network, kind=self.kind, table=network.table | constants))

    @abstractmethod
    def _constants(self) -> dict[str, Any]:
        """JSON-ready: what else is frozen."""

    @classmethod
    @abstractmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, stats: SlideStats, fitted_on: str, *, device: Device) -> Self:
        """Recogniser of a checkpoint; KeyError, TypeError or ValueError where constants are missing or malformed.

        Parameters
        ----------
        checkpoint : Checkpoint
            Of the kind of the class.
        stats : SlideStats
            Constants of the slide's staining.
        fitted_on : str
            Hash of what the constants were found on.
        device : {'cpu', 'cuda'}
            Where to compute.
        """


class SegmenterRecognizer(Recognizer):
    """By a trained segmenter: probability of nucleus, and evidence from the distance map.

    Parameters
    ----------
    net, stats, fitted_on
        As of :class:`Recognizer`.
    config : SegmenterConfig
        Smoothing of the distance map.
    levels : Levels
        Of the slide: threshold of the distance map; the scale of the input is in ``stats`` already.
    """

    kind = "segmenter-fit"
    net: SegmentationNet

    def __init__(
        self,
        net: SegmentationNet,
        stats: SlideStats,
        config: SegmenterConfig,
        levels: Levels,
        fitted_on: str = "",
    ) -> None:
        super().__init__(net, stats, fitted_on)
        self.config, self.levels = config, levels

    @property
    def _smoothing_px(self) -> float:
        return self.config.distance_smoothing_um / self.net.mpp

    @property
    def _around_px(self) -> int:
        """Pixels around the inside of a block that are smoothed into it."""
        return min(self.halo_px, smooth_radius_px(self._smoothing_px))

    def _maps(self, images: Sequence[Image]) -> list[tuple[Map, Map]]:
        return self.net.maps_inside(images, self.stats, rim_px=self.halo_px - self._around_px)

    def _evidence(self, image: Image, maps: tuple[Map, Map]) -> tuple[Map, npt.NDArray[np.uint8]]:
        probability, distance = maps
        evidence = evidence_of(distance, threshold=self.levels.threshold, smoothing_px=self._smoothing_px)
        return crop(probability, self._around_px), crop(evidence, self._around_px)

    def _constants(self) -> dict[str, Any]:
        return {"settings": self.config.model_dump(mode="json"), "levels": self.levels.to_dict()}

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, stats: SlideStats, fitted_on: str, *, device: Device) -> Self:
        """Recogniser of a checkpoint of kind ``segmenter-fit``.

        Parameters
        ----------
        checkpoint, stats, fitted_on, device
            As in `Recognizer.of_checkpoint`.
        """
        net = SegmentationNet.of_checkpoint(checkpoint, device=device)
        settings = with_new_names({"segmenter": checkpoint.table["settings"]})["segmenter"]
        levels = checkpoint.table.get("levels")
        if levels is None:  # of an earlier version, which had one threshold for all slides and no scale
            levels = {"input_scale": 1.0, "threshold": settings["threshold"], "scores": {}, "cells": 0}
        return cls(net, stats, SegmenterConfig(**settings), Levels.from_dict(levels), fitted_on)

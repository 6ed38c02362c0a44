"""Recogniser by the pseudo mask: prior self-activation map, and evidence from the clusters of the slide."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Image, Map, crop
from wsipsm.nuclei.activation import ActivationNet
from wsipsm.nuclei.nets.checkpoint import Checkpoint
from wsipsm.nuclei.nets.device import Device
from wsipsm.nuclei.pseudomask import Clusters, evidence, features
from wsipsm.nuclei.recognizer import Recognizer
from wsipsm.stain.normalise import SlideStats


class PsmRecognizer(Recognizer):
    """By the pseudo mask: prior self-activation map, and evidence from the clusters of the slide.

    Parameters
    ----------
    net, stats, fitted_on
        As of :class:`Recognizer`.
    clusters : Clusters
        Of the slide.
    """

    kind = "fit"
    net: ActivationNet

    def __init__(self, net: ActivationNet, stats: SlideStats, clusters: Clusters, fitted_on: str = "") -> None:
        super().__init__(net, stats, fitted_on)
        self.clusters = clusters

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.net.halo_px + self.clusters.halo_px

    def _evidence(self, image: Image, maps: Map) -> tuple[Map, npt.NDArray[np.uint8]]:
        pixels = features(crop(image, self.net.halo_px), maps, self.clusters, vectors=self.stats.vectors)
        return crop(maps, self.clusters.halo_px), evidence(pixels, self.clusters)

    def _constants(self) -> dict[str, Any]:
        return {"clusters": self.clusters.to_dict()}

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, stats: SlideStats, fitted_on: str, *, device: Device) -> Self:
        """Recogniser of a checkpoint of kind ``fit``.

        Parameters
        ----------
        checkpoint, stats, fitted_on, device
            As in `Recognizer.of_checkpoint`.
        """
        net = ActivationNet.of_checkpoint(checkpoint, device=device)
        return cls(net, stats, Clusters.from_dict(checkpoint.table["clusters"]), fitted_on)

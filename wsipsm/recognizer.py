"""What stage 1 applies to every block of a slide: the frozen network, the slide's constants and its clusters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from wsipsm.activation import ActivationNet, Device
from wsipsm.cells import OD_PER_STEP
from wsipsm.errors import CheckpointError
from wsipsm.geometry import Image, Map
from wsipsm.nets.checkpoint import load_checkpoint, save_checkpoint
from wsipsm.pseudomask import Clusters, evidence, features
from wsipsm.stain import Floats, SlideStats, optical_density, unmix

Array = TypeVar("Array", bound=npt.NDArray[Any])

CHANNELS = ("activation", "evidence", "hematoxylin", "eosin")
"""Maps of a block, in order."""


class PsmRecognizer:
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

    channels = CHANNELS

    def __init__(self, net: ActivationNet, stats: SlideStats, clusters: Clusters, fitted_on: str = "") -> None:
        self.fitted_on = fitted_on
        self.net = net
        self.stats = stats
        self.clusters = clusters

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.net.halo_px + self.clusters.halo_px

    def block(self, image: Image) -> npt.NDArray[np.uint8]:
        """Compute the maps of one block.

        Parameters
        ----------
        image : (y + 2 halo, x + 2 halo, 3) uint8
            RGB on the grid.

        Returns
        -------
        (4, y, x) uint8
            In the order of ``CHANNELS``: activation, 255 is 1; evidence, see :func:`wsipsm.pseudomask.evidence`;
            haematoxylin and eosin in steps of ``OD_PER_STEP`` optical density.
        """
        activation, inner = self.net.maps(image, self.stats), _crop(image, self.net.halo_px)
        halo = self.clusters.halo_px
        hematoxylin, eosin = unmix(optical_density(_crop(inner, halo)))
        return np.stack(
            [
                _bytes(_crop(activation, halo) * 255),
                evidence(self.features(inner, activation), self.clusters),
                _bytes(hematoxylin / OD_PER_STEP),
                _bytes(eosin / OD_PER_STEP),
            ]
        )

    def features(self, image: Image, activation: Map) -> Floats:
        """Features as the clusters were fitted on; see :func:`wsipsm.pseudomask.features`."""
        c = self.clusters
        return features(
            image, activation, smoothing_px=c.smoothing_px, surroundings_px=c.surroundings_px, contrast=c.contrast
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


def load_recognizer(path: Path, *, device: Device) -> PsmRecognizer:
    """Recogniser of a checkpoint of kind ``fit``.

    Raises
    ------
    CheckpointError
        It is not one.
    """
    checkpoint = load_checkpoint(path, kinds=("fit",))
    net = ActivationNet.of_checkpoint(checkpoint, device=device)
    try:
        stats = SlideStats.from_dict(checkpoint.table["stats"])
        clusters = Clusters.from_dict(checkpoint.table["clusters"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the constants of the slide are missing or malformed: {error}") from None
    return PsmRecognizer(net, stats, clusters, str(checkpoint.table.get("fitted_on", "")))


def fits(path: Path, fitted_on: str) -> bool:
    """Whether a checkpoint holds the constants of this very slide and these settings.

    Raises
    ------
    CheckpointError
        It is no checkpoint.
    """
    checkpoint = load_checkpoint(path)
    return checkpoint.kind == "fit" and checkpoint.table.get("fitted_on") == fitted_on


def _crop(array: Array, margin: int) -> Array:
    return cast(Array, array[margin : array.shape[0] - margin, margin : array.shape[1] - margin])


def _bytes(plane: Floats) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)

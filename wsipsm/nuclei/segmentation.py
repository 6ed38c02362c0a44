"""The frozen segmenter: probability of nucleus and normalised distance map of a block in one forward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wsipsm.core.errors import ConfigError
from wsipsm.core.geometry import Image, Map
from wsipsm.core.maps import DECISION
from wsipsm.core.stains import Stain
from wsipsm.nuclei.frozen import FrozenNet
from wsipsm.nuclei.nets.by_rows import ByRows
from wsipsm.nuclei.nets.checkpoint import Checkpoint
from wsipsm.nuclei.nets.device import Threads, half_precision, on_device
from wsipsm.nuclei.nets.inside import inside_of
from wsipsm.nuclei.nets.integers import InIntegers, Range, Steps, observed_ranges, widest
from wsipsm.nuclei.nets.unet import Segmenter, SegmenterShape, compressed
from wsipsm.stain.normalise import SlideStats, network_planes
from wsipsm.stain.optics import Floats, smooth

_CPU = torch.device("cpu")


class SegmentationNet(FrozenNet[Segmenter, tuple[Map, Map]]):
    """A trained segmenter; its maps are the probability of nucleus and the distance, each (y, x) float32.

    The distance is about 0 at the outline of a nucleus and 1 in its middle. A block starts at a multiple of the
    network's stride in the plane; from ``halo_px`` inside its border its maps are those of the whole plane.

    Parameters
    ----------
    segmenter : Segmenter
        Trained; it is put into evaluation mode and frozen.
    mpp : float
        Micrometres per pixel that it was trained at.
    stain, provenance, device
        As of :class:`FrozenNet`.
    """

    kind = "segmenter"

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        mpp: float,
        stain: Stain = "he",
        provenance: dict[str, Any],
        device: torch.device,
    ) -> None:
        super().__init__(segmenter, stain=stain, provenance=provenance, device=device)
        self.mpp = mpp
        self._by_rows = ByRows(self._fast)

    def maps_inside(
        self, blocks: Sequence[Image], stats: SlideStats, *, rim_px: int, by: InIntegers | None = None
    ) -> list[tuple[Map, Map]]:
        """Maps of blocks as `maps_of`, without so many pixels of each side; those are not computed where it pays.

        Parameters
        ----------
        blocks, stats
            As of `maps_of`.
        rim_px : int
            Pixels of each side of a block that its maps lack.
        by : InIntegers, optional
            Of `integers`: how it is computed on a CPU; in float32 by default.
        """
        return self._batches.run(lambda some: self._maps(some, stats, rim_px, by), blocks)

    def integers(self, ranges: Mapping[str, Range]) -> InIntegers | None:
        """Arithmetic in bytes, for the ranges of a slide; none on a GPU, which has its own.

        Raises
        ------
        ConfigError
            PyTorch was built without what computes it.
        """
        if self.device.type != "cpu":
            return None
        if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            raise ConfigError("segmenter.precision: int8 needs a PyTorch with oneDNN; use float32")
        return InIntegers(self._fast, ranges)

    def ranges(self, windows: Sequence[Image], stats: SlideStats, threads: Threads | None = None) -> dict[str, Range]:
        """Ranges of the planes of the network over windows of a slide, in float32 on the CPU.

        Parameters
        ----------
        windows : sequence of (y, x, 3) uint8
            RGB at the resolution of the training.
        stats : SlideStats
            Of the slide.
        threads : Threads, optional
            That share the windows.
        """
        fast = copy.deepcopy(self._fast).to("cpu")

        def seen(window: Image) -> dict[str, Range]:
            return observed_ranges(fast, _channels_last([network_input(window, stats, fast.shape.stride)], _CPU))

        return widest(threads.each(seen, windows) if threads else map(seen, windows))

    @torch.inference_mode()
    def _maps(
        self, blocks: Sequence[Image], stats: SlideStats, rim_px: int = 0, by: InIntegers | None = None
    ) -> list[tuple[Map, Map]]:
        height, width = (side - 2 * rim_px for side in blocks[0].shape[:2])
        output = self._outputs(blocks, stats, rim_px, by)[:, :, :height, :width].float()
        both = torch.sigmoid(output[:, 0]), output[:, 1].contiguous()
        return list(zip(*(planes.cpu().numpy() for planes in both), strict=True))

    def _outputs(self, blocks: Sequence[Image], stats: SlideStats, rim_px: int, by: InIntegers | None) -> torch.Tensor:
        """(b, 2, y, x) of the network, without a rim; a CPU gets one block at a time."""
        stride, logarithm = self.network.shape.stride, self.network.shape.logarithm
        if self.device.type == "cuda":
            planes = _channels_last([network_input(block, stats, stride) for block in blocks], self.device)
            with half_precision(self.device):
                found: torch.Tensor = self._fast(planes)[:, :, rim_px:, rim_px:]
                return found
        if by:
            given = network_input(blocks[0], stats, stride, partial(_bytes, by.input, logarithm), by.input.zero)
            return inside_of(self._fast, _channels_last([given], self.device), rim_px, by)
        given = network_input(blocks[0], stats, stride, _logarithm if logarithm else np.asarray)
        return torch.from_numpy(self._by_rows.inside(given, rim_px))[None]

    def checkpoint(self) -> Checkpoint:
        """Content of a checkpoint."""
        common = super().checkpoint()
        return replace(common, table=common.table | {"mpp": self.mpp})

    @classmethod
    def _parse(cls, checkpoint: Checkpoint) -> tuple[Segmenter, dict[str, Any]]:
        segmenter = Segmenter(SegmenterShape.from_dict(checkpoint.table["shape"]))
        return segmenter, {"mpp": float(checkpoint.table["mpp"])}


def network_input(
    image: Image,
    stats: SlideStats,
    stride: int,
    then: Callable[[Floats], npt.NDArray[Any]] = np.asarray,
    background: int = 0,
) -> npt.NDArray[Any]:
    """Relative planes of an image, padded with background to whole strides; (y, x, 3), float32 by default.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB.
    stats : SlideStats
        Constants of the slide's staining.
    stride : int
        Of the network, pixels.
    then : callable
        What is done to each value by itself.
    background : int
        What it makes of 0.
    """
    height, width = image.shape[:2]
    beyond, planes = (-height % stride, -width % stride), network_planes(image, stats, then)
    if any(beyond):
        planes = np.pad(planes, [(0, beyond[0]), (0, beyond[1]), (0, 0)], constant_values=background)
    return planes


def _logarithm(planes: Floats) -> Floats:
    """What a network begins with, see `SegmenterShape`."""
    return compressed(torch.from_numpy(planes)).numpy()


def _bytes(steps: Steps, logarithm: bool, planes: Floats) -> npt.NDArray[np.uint8]:
    return steps.bytes_of(_logarithm(planes) if logarithm else planes)


def _channels_last(inputs: Sequence[npt.NDArray[Any]], device: torch.device) -> torch.Tensor:
    """(b, 3, y, x) of images (y, x, 3), in the memory as those are."""
    return on_device([image[None] for image in inputs], device).permute(0, 3, 1, 2)


def evidence_of(distance: Map, *, threshold: float, smoothing_px: float) -> npt.NDArray[np.uint8]:
    """Evidence of nuclei from the distance map.

    Parameters
    ----------
    distance : (y, x) float32
        Of :meth:`SegmentationNet.maps`.
    threshold : float
        Distance from which on a pixel can belong to a cell.
    smoothing_px : float
        Standard deviation of the Gaussian on the distance, pixels.

    Returns
    -------
    (y, x) uint8
        0 below the threshold, from ``DECISION`` at an outline to 255 in the middle of a nucleus.
    """
    from wsipsm.nuclei.compiled import evidence_steps

    levels = np.empty(distance.shape, np.uint8)
    evidence_steps(distance, smooth(distance, smoothing_px), np.float32(threshold), DECISION, levels)
    return levels

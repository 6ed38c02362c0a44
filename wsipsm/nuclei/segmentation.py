"""The frozen segmenter: probability of nucleus and normalised distance map of a block in one forward pass."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
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
from wsipsm.nuclei.nets.checkpoint import Checkpoint
from wsipsm.nuclei.nets.device import Threads, half_precision, on_device
from wsipsm.nuclei.nets.inside import inside_of
from wsipsm.nuclei.nets.integers import InIntegers, Range, Steps, observed_ranges, widest
from wsipsm.nuclei.nets.unet import Segmenter, SegmenterShape, compressed
from wsipsm.stain.normalise import SlideStats, network_planes
from wsipsm.stain.optics import Floats, smooth


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
            planes = torch.from_numpy(network_input(window, stats, fast.shape.stride))
            return observed_ranges(fast, planes.contiguous(memory_format=torch.channels_last))

        return widest(threads.each(seen, windows) if threads else map(seen, windows))

    @torch.inference_mode()
    def _maps(
        self, blocks: Sequence[Image], stats: SlideStats, rim_px: int = 0, by: InIntegers | None = None
    ) -> list[tuple[Map, Map]]:
        height, width = (side - 2 * rim_px for side in blocks[0].shape[:2])
        shape, steps = self.network.shape, by.input if by else None
        inputs = [network_input(block, stats, shape.stride, steps, logarithm=shape.logarithm) for block in blocks]
        planes = on_device(inputs, self.device).contiguous(memory_format=torch.channels_last)
        if self.device.type == "cpu":
            output = inside_of(self._fast, planes, rim_px, by)
        else:
            with half_precision(self.device):
                output = self._fast(planes)[:, :, rim_px:, rim_px:]
        inner = output[:, :, :height, :width].float()
        both = torch.sigmoid(inner[:, 0]), inner[:, 1].contiguous()
        return list(zip(*(planes.cpu().numpy() for planes in both), strict=True))

    def checkpoint(self) -> Checkpoint:
        """Content of a checkpoint."""
        common = super().checkpoint()
        return replace(common, table=common.table | {"mpp": self.mpp})

    @classmethod
    def _parse(cls, checkpoint: Checkpoint) -> tuple[Segmenter, dict[str, Any]]:
        segmenter = Segmenter(SegmenterShape.from_dict(checkpoint.table["shape"]))
        return segmenter, {"mpp": float(checkpoint.table["mpp"])}


def network_input(
    image: Image, stats: SlideStats, stride: int, steps: Steps | None = None, *, logarithm: bool = False
) -> npt.NDArray[Any]:
    """Relative planes of an image, padded with background to whole strides; (1, 3, y, x) float32, or bytes.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB.
    stats : SlideStats
        Constants of the slide's staining.
    stride : int
        Of the network, pixels.
    steps : Steps, optional
        Of the bytes, where bytes are wanted.
    logarithm : bool
        Bytes are of the logarithm that the network begins with, see `SegmenterShape`.
    """
    height, width = image.shape[:2]
    beyond, background = (-height % stride, -width % stride), 0
    if steps is None:
        planes = network_planes(image, stats)
    else:
        planes, background = network_planes(image, stats, partial(_bytes, steps, logarithm)), steps.zero
    if any(beyond):
        planes = np.pad(planes, [(0, beyond[0]), (0, beyond[1]), (0, 0)], constant_values=background)
    return planes.transpose(2, 0, 1)[None]


def _bytes(steps: Steps, logarithm: bool, planes: Floats) -> npt.NDArray[np.uint8]:
    return steps.bytes_of(compressed(torch.from_numpy(planes)).numpy() if logarithm else planes)


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

"""The frozen segmenter: probability of nucleus and normalised distance map of a block in one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Image, Map
from wsipsm.core.maps import DECISION
from wsipsm.core.stains import Stain
from wsipsm.nuclei.frozen import FrozenNet
from wsipsm.nuclei.nets.by_rows import ByRows
from wsipsm.nuclei.nets.checkpoint import Arrays, Checkpoint
from wsipsm.nuclei.nets.device import Device, half_precision, on_device
from wsipsm.nuclei.nets.shape import SegmenterShape, compressed
from wsipsm.stain.normalise import SlideStats, network_planes
from wsipsm.stain.optics import Floats, smooth

if TYPE_CHECKING:
    from wsipsm.nuclei.nets.unet import Segmenter


class SegmentationNet(FrozenNet[tuple[Map, Map]]):
    """A trained segmenter; its maps are the probability of nucleus and the distance, each (y, x) float32.

    The distance is about 0 at the outline of a nucleus and 1 in its middle. A block starts at a multiple of the
    network's stride in the plane; from ``halo_px`` inside its border its maps are those of the whole plane. A CPU
    computes them without PyTorch.

    Parameters
    ----------
    shape : SegmenterShape
        Of the network.
    arrays : dict of ndarray
        Its trained tensors.
    mpp : float
        Micrometres per pixel that it was trained at.
    stain, provenance, device
        As of :class:`FrozenNet`.

    Raises
    ------
    CheckpointError
        The tensors do not fit the shape, or are not finite.
    """

    kind = "segmenter"

    def __init__(
        self,
        shape: SegmenterShape,
        arrays: Arrays,
        *,
        mpp: float,
        stain: Stain = "he",
        provenance: dict[str, Any],
        device: Device,
    ) -> None:
        super().__init__(stain=stain, provenance=provenance, device=device)
        self.shape, self.mpp, self._tensors = shape, mpp, arrays
        self._by_rows = ByRows(shape, arrays)

    @classmethod
    def of_network(
        cls,
        segmenter: Segmenter,
        *,
        mpp: float,
        stain: Stain = "he",
        provenance: dict[str, Any],
        device: Device,
    ) -> Self:
        """Frozen copy of a segmenter.

        Parameters
        ----------
        segmenter : Segmenter
            Trained.
        mpp, stain, provenance, device
            As of the constructor.
        """
        from wsipsm.nuclei.nets.blocks import arrays_of

        return cls(segmenter.shape, arrays_of(segmenter), mpp=mpp, stain=stain, provenance=provenance, device=device)

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.shape.halo_px

    @property
    def by_torch(self) -> bool:
        """Whether PyTorch computes its maps: on a GPU."""
        return self.device == "cuda"

    @cached_property
    def network(self) -> Segmenter:
        """The network as PyTorch has it, frozen, on the device."""
        from wsipsm.nuclei.nets.blocks import load_tensors
        from wsipsm.nuclei.nets.unet import Segmenter

        segmenter = Segmenter(self.shape)
        load_tensors(segmenter, self._tensors)
        return segmenter.to(self.device).eval().requires_grad_(False)

    @cached_property
    def _fast(self) -> Any:
        import torch

        from wsipsm.nuclei.nets.blocks import folded

        # torch takes memory_format, its stubs do not know it
        return folded(self.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def maps_inside(self, blocks: Sequence[Image], stats: SlideStats, *, rim_px: int) -> list[tuple[Map, Map]]:
        """Maps of blocks as `maps_of`, without so many pixels of each side; those are not computed where it pays.

        Parameters
        ----------
        blocks, stats
            As of `maps_of`.
        rim_px : int
            Pixels of each side of a block that its maps lack.
        """
        return self._batches.run(lambda some: self._maps(some, stats, rim_px), blocks)

    def _maps(self, blocks: Sequence[Image], stats: SlideStats, rim_px: int = 0) -> list[tuple[Map, Map]]:
        height, width = (side - 2 * rim_px for side in blocks[0].shape[:2])
        outputs = self._on_gpu(blocks, stats, rim_px) if self.by_torch else self._on_cpu(blocks, stats, rim_px)
        inner = ((logit[:height, :width], distance[:height, :width]) for logit, distance in outputs)
        return [(_shares(logit), np.ascontiguousarray(distance)) for logit, distance in inner]

    def _on_cpu(self, blocks: Sequence[Image], stats: SlideStats, rim_px: int) -> list[Floats]:
        then = compressed if self.shape.logarithm else np.asarray
        planes = (network_input(block, stats, self.shape.stride, then) for block in blocks)
        return [self._by_rows.inside(one, rim_px) for one in planes]

    def _on_gpu(self, blocks: Sequence[Image], stats: SlideStats, rim_px: int) -> list[Floats]:
        import torch

        images = [network_input(block, stats, self.shape.stride)[None] for block in blocks]
        with torch.inference_mode(), half_precision(self.device):
            output = self._fast(on_device(images, self.device).permute(0, 3, 1, 2))
        return list(output[:, :, rim_px:, rim_px:].float().cpu().numpy())

    def checkpoint(self) -> Checkpoint:
        """Content of a checkpoint."""
        common = super().checkpoint()
        return Checkpoint(common.kind, common.table | {"mpp": self.mpp}, common.tensors)

    def _shape(self) -> dict[str, Any]:
        return self.shape.to_dict()

    def _arrays(self) -> Arrays:
        return self._tensors

    @classmethod
    def _parsed(cls, checkpoint: Checkpoint, arrays: Arrays, **common: Any) -> Self:
        shape, mpp = SegmenterShape.from_dict(checkpoint.table["shape"]), float(checkpoint.table["mpp"])
        return cls(shape, arrays, mpp=mpp, **common)


def _shares(logit: Map) -> Map:
    """The logistic function."""
    with np.errstate(over="ignore"):  # of what is 0 then
        return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


def network_input(
    image: Image, stats: SlideStats, stride: int, then: Callable[[Floats], npt.NDArray[Any]] = np.asarray
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
        What is done to each value by itself; 0 stays 0.
    """
    height, width = image.shape[:2]
    beyond, planes = (-height % stride, -width % stride), network_planes(image, stats, then)
    return np.pad(planes, [(0, beyond[0]), (0, beyond[1]), (0, 0)]) if any(beyond) else planes


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

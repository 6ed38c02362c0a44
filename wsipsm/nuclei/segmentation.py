"""The frozen segmenter: nucleus probability and depth of a block of a slide in one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from wsipsm.core.errors import CheckpointError
from wsipsm.core.geometry import Image, Map
from wsipsm.core.maps import DECISION
from wsipsm.nuclei.nets.checkpoint import Checkpoint, load_tensors
from wsipsm.nuclei.nets.device import Batches, half_precision, on_device
from wsipsm.nuclei.nets.unet import Segmenter, SegmenterShape, folded
from wsipsm.stain.normalise import SlideStats, Stain, as_stain, relative_planes
from wsipsm.stain.optics import Floats, smooth

KIND = "segmenter"


class SegmentationNet:
    """A trained segmenter.

    Parameters
    ----------
    segmenter : Segmenter
        Trained; it is put into evaluation mode and frozen.
    mpp : float
        Micrometres per pixel that it was trained at.
    stain : {'he', 'unknown'}
        Whether it was trained on planes of named stains.
    provenance : dict
        JSON-ready: what it was trained on and how.
    device : torch.device
        Where it computes.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        mpp: float,
        stain: Stain = "he",
        provenance: dict[str, Any],
        device: torch.device,
    ) -> None:
        self.segmenter = segmenter.to(device).eval().requires_grad_(False)
        # torch takes memory_format, its stubs do not know it
        self._fast = folded(self.segmenter).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mpp = mpp
        self.stain = stain
        self.provenance = provenance
        self.device = device
        self._batches = Batches(device)

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.segmenter.shape.halo_px

    def maps(self, block: Image, stats: SlideStats) -> tuple[Map, Map]:
        """Nucleus probability and depth of one block, as `maps_of`."""
        return self.maps_of([block], stats)[0]

    def maps_of(self, blocks: Sequence[Image], stats: SlideStats) -> list[tuple[Map, Map]]:
        """Nucleus probability and depth of blocks; the same block gives the same bits on one kind of device.

        Parameters
        ----------
        blocks : sequence of (y, x, 3) uint8
            RGB at ``mpp``, of one size, halos included; a block starts at a multiple of the network's stride in the
            plane.
        stats : SlideStats
            Of the slide.

        Returns
        -------
        list of two (y, x) float32
            Probability of nucleus, 0 to 1; depth, about 0 at an outline and 1 in the middle of a nucleus. Both are
            those of the whole plane from ``halo_px`` inside the border.

        Raises
        ------
        DeviceMemoryError
            The GPU cannot hold one block.
        """
        return self._batches.run(lambda some: self._maps(some, stats), blocks)

    @torch.inference_mode()
    def _maps(self, blocks: Sequence[Image], stats: SlideStats) -> list[tuple[Map, Map]]:
        height, width = blocks[0].shape[:2]
        inputs = [network_input(block, stats, self.segmenter.shape.stride) for block in blocks]
        planes = on_device(inputs, self.device).contiguous(memory_format=torch.channels_last)
        with half_precision(self.device):
            output = self._fast(planes)
        inner = output[:, :, :height, :width].float()
        results = torch.stack([torch.sigmoid(inner[:, 0]), inner[:, 1]], dim=1).cpu().numpy()
        return [(result[0], result[1]) for result in results]

    def checkpoint(self) -> Checkpoint:
        """Content of a checkpoint of kind ``segmenter``."""
        tensors = {f"segmenter.{name}": tensor.cpu() for name, tensor in self.segmenter.state_dict().items()}
        table = {
            "shape": self.segmenter.shape.to_dict(),
            "mpp": self.mpp,
            "stain": self.stain,
            "provenance": self.provenance,
        }
        return Checkpoint(KIND, table, tensors)

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, *, device: torch.device) -> SegmentationNet:
        """Network of a checkpoint.

        Raises
        ------
        CheckpointError
            The table or the tensors are not those of a segmenter.
        """
        try:
            segmenter = Segmenter(SegmenterShape.from_dict(checkpoint.table["shape"]))
            mpp, provenance = float(checkpoint.table["mpp"]), dict(checkpoint.table["provenance"])
            stain = as_stain(checkpoint.table)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint holds no segmenter: {error}") from None
        prefix = "segmenter."
        named = {key.removeprefix(prefix): t for key, t in checkpoint.tensors.items() if key.startswith(prefix)}
        load_tensors(segmenter, named)
        return cls(segmenter, mpp=mpp, stain=stain, provenance=provenance, device=device)


def network_input(image: Image, stats: SlideStats, stride: int) -> Floats:
    """Relative planes of an image, filled up with glass to whole strides; (1, 3, y, x) float32."""
    height, width = image.shape[:2]
    fill = [(0, -height % stride), (0, -width % stride), (0, 0)]
    return np.asarray(np.pad(relative_planes(image, stats), fill).transpose(2, 0, 1)[None], np.float32)


def evidence_of(depth: Map, *, threshold: float, smoothing_px: float) -> npt.NDArray[np.uint8]:
    """What cells are sought in: how deep inside a nucleus a pixel lies.

    Parameters
    ----------
    depth : (y, x) float32
        Of :meth:`SegmentationNet.maps`.
    threshold : float
        Depth from which on a pixel can belong to a cell.
    smoothing_px : float
        Standard deviation of the Gaussian on the depth, pixels.

    Returns
    -------
    (y, x) uint8
        0 below the threshold, from ``DECISION`` at an outline to 255 in the middle of a nucleus.
    """
    steps = np.floor(127 * np.clip(smooth(depth, smoothing_px), 0, 1))
    found = np.where(depth > threshold, DECISION + steps, 0)
    levels: npt.NDArray[np.uint8] = found.astype(np.uint8)
    return levels

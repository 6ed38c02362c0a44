"""Prior self-activation maps: what a network trained without labels looks at.

The paper (Chen et al., MICCAI 2023, arXiv 2308.11144) weighs channel k of a shallow block by the pooled gradient
a_k of the network's output y with respect to that channel, and maps ReLU(sum_k a_k A_k), anew for every image.
:class:`ActivationNet` is the frozen form for slides: the a_k are means over sampled patches,
the maps of the blocks are brought to one scale by frozen constants, averaged, and scaled by frozen percentiles. A
block of a slide is then one forward pass through the shallow layers, and depends on nothing but its pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from wsipsm.core.geometry import Image, Map
from wsipsm.core.stains import Stain
from wsipsm.nuclei.frozen import FrozenNet
from wsipsm.nuclei.nets.blocks import arrays_of, folded, load_tensors
from wsipsm.nuclei.nets.checkpoint import Arrays, Checkpoint
from wsipsm.nuclei.nets.device import Device, half_precision, on_device
from wsipsm.nuclei.nets.encoder import Encoder, EncoderShape
from wsipsm.stain.normalise import SlideStats, relative_planes
from wsipsm.stain.optics import Floats

LOW_PERCENTILE, HIGH_PERCENTILE = 0.1, 99.9
"""Percentiles of the averaged map over all sampled patches that become 0 and 1."""


@dataclass(frozen=True, slots=True)
class MapConstants:
    """Frozen scales of the map.

    Attributes
    ----------
    means, stds : tuple of float
        Of each block's weighted sum over the sampled patches.
    low, high : float
        Values of the averaged map that become 0 and 1.
    """

    means: tuple[float, ...]
    stds: tuple[float, ...]
    low: float
    high: float


def input_planes(image: Image, stats: SlideStats) -> Floats:
    """Return what the network sees of an image.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB.
    stats : SlideStats
        Of the slide; the planes of two slides are alike where their tissue is.

    Returns
    -------
    (6, y, x) float32
        :func:`wsipsm.stain.normalise.relative_planes`, and the share of each in their sum (-1 none to 2 all).
    """
    density = relative_planes(image, stats)
    # The constant keeps the share of near-white pixels, which is noise, near that of grey.
    share = 3 * density / (density[..., 0] + density[..., 1] + density[..., 2] + 0.3)[..., None] - 1
    planes: Floats = np.concatenate([density, share], axis=-1).transpose(2, 0, 1)  # channels last in memory
    return planes


class ActivationNet(FrozenNet[Map]):
    """An encoder with frozen channel weights and scales; its map is (y, x) float32, 0 to 1, nuclei high.

    A block is (y + 2 halo, x + 2 halo, 3) uint8.

    Parameters
    ----------
    encoder : Encoder
        Trained; it is put into evaluation mode and frozen.
    weights : sequence of (width,) Tensor
        Mean gradient of the output with respect to each channel, one tensor a block.
    constants : MapConstants
        Frozen scales.
    stain, provenance, device
        As of :class:`FrozenNet`.
    """

    kind = "encoder"

    def __init__(
        self,
        encoder: Encoder,
        weights: Sequence[Tensor],
        constants: MapConstants,
        *,
        stain: Stain = "he",
        provenance: dict[str, Any],
        device: Device,
    ) -> None:
        super().__init__(stain=stain, provenance=provenance, device=device)
        self.network = encoder.to(device).eval().requires_grad_(False)
        # torch takes memory_format, its stubs do not know it
        self._fast = folded(self.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights = [weight.detach().to(device, torch.float32) for weight in weights]
        self.constants = constants

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.network.shape.halo_px

    @torch.inference_mode()
    def _maps(self, blocks: Sequence[Image], stats: SlideStats) -> list[Map]:
        inputs = [input_planes(block, stats)[None] for block in blocks]
        with half_precision(self.device):
            activations = self._fast.activations(on_device(inputs, self.device))
        averaged = average_map(activations, self.weights, self.constants)
        low, high = self.constants.low, self.constants.high
        return list(((averaged - low) / (high - low)).clamp(0, 1).cpu().numpy())

    def checkpoint(self) -> Checkpoint:
        """Content of a checkpoint."""
        common = super().checkpoint()
        weights = {f"weights.{block}": weight.cpu().numpy() for block, weight in enumerate(self.weights)}
        table = common.table | {"constants": asdict(self.constants)}
        return replace(common, table=table, tensors={**common.tensors, **weights})

    def _shape(self) -> dict[str, Any]:
        return self.network.shape.to_dict()

    def _arrays(self) -> Arrays:
        return arrays_of(self.network)

    @classmethod
    def _parsed(cls, checkpoint: Checkpoint, arrays: Arrays, **common: Any) -> Self:
        encoder = Encoder(EncoderShape(**checkpoint.table["shape"]))
        constants = MapConstants(**checkpoint.table["constants"])
        constants = replace(constants, means=tuple(constants.means), stds=tuple(constants.stds))
        weights = [torch.from_numpy(checkpoint.tensors[f"weights.{block}"]) for block in range(encoder.shape.blocks)]
        load_tensors(encoder, arrays)
        return cls(encoder, weights, constants, **common)


def weighted_sums(activations: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """sum_k a_k A_k of every block: (b, width, y, x) and (width,) to (b, y, x) float32."""
    # Channel by channel: a matrix product may sum in another order for another shape.
    sums = []
    for maps, weight in zip(activations, weights, strict=True):
        total = torch.zeros_like(maps[:, 0], dtype=torch.float32)
        for channel in range(maps.shape[1]):
            total += weight[channel] * maps[:, channel].float()
        sums.append(total)
    return sums


def average_map(activations: Sequence[Tensor], weights: Sequence[Tensor], constants: MapConstants) -> Tensor:
    """Mean over the blocks of their sums in frozen standard scores, (b, y, x) float32.

    No ReLU: cutting each block at 0 costs up to 0.08 of pixel AUC.

    Parameters
    ----------
    activations : sequence of (b, c, y, x) float32
        Of each block of the network.
    weights : sequence of (c,) float32
        Of the channels of each block.
    constants : MapConstants
        Mean and spread of each block's sum.
    """
    sums = weighted_sums(activations, weights)
    scores = [(s - mean) / std for s, mean, std in zip(sums, constants.means, constants.stds, strict=True)]
    return torch.stack(scores).mean(dim=0)


def channel_weights(encoder: Encoder, planes: Tensor) -> list[Tensor]:
    """Pooled gradients of the output with respect to the maps of each block.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode.
    planes : (b, 6, y, x) float
        Input planes with halo.

    Returns
    -------
    list of (width,) float
        a_k = mean over images and pixels of dy/dA_k; y is an image's mean logit.
    """
    with torch.enable_grad():
        activations = [maps.detach().requires_grad_() for maps in encoder.activations(planes)]
        outputs = encoder.logits(activations).mean(dim=(1, 2))
        # The gradient of a sum over images is each image's own gradient: the images do not mix in evaluation mode.
        gradients = torch.autograd.grad(outputs.sum(), activations)
    return [gradient.mean(dim=(0, 2, 3)) for gradient in gradients]

"""Self-supervised training: predict, for every cell of a coarse grid, how much of it is stained like nuclei.

The target needs no label: the share of pixels whose smoothed haematoxylin is above the slide's own Otsu threshold.
What the network looks at for that, and how strongly, is then read from its gradients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from wsipsm.config import EncoderConfig
from wsipsm.core.errors import FitError
from wsipsm.core.stains import Stain
from wsipsm.nuclei.activation import (
    HIGH_PERCENTILE,
    LOW_PERCENTILE,
    ActivationNet,
    MapConstants,
    average_map,
    channel_weights,
    input_planes,
    weighted_sums,
)
from wsipsm.nuclei.learning import Learner, Plan, Progress, learn
from wsipsm.nuclei.nets.device import Device
from wsipsm.nuclei.nets.encoder import Encoder, EncoderShape
from wsipsm.stain.normalise import BORDER_SIGMA_PX, SlideStats, measure_slide, stain_density
from wsipsm.stain.optics import smooth

Patches = npt.NDArray[np.uint8]
"""(n, p, p, 3) uint8 RGB patches of one slide at the working resolution."""

_CROP_CELLS = 4
_WEIGHT_BATCHES = 8


@dataclass(frozen=True)
class _Samples:
    """Input planes (n, 6, p, p) float32 and targets (n, p, p) float32 of all patches."""

    planes: Tensor
    targets: Tensor

    @classmethod
    def of(cls, patches_per_slide: Sequence[Patches], stain: Stain) -> _Samples:
        planes, targets = [], []
        for patches in patches_per_slide:
            stats = measure_slide(patches, stain)
            planes += [input_planes(patch, stats) for patch in patches]
            targets += [nuclear_pixels(patch, stats) for patch in patches]
        return cls(torch.from_numpy(np.stack(planes)), torch.from_numpy(np.stack(targets)))

    def draw(self, count: int, side: int, halo: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Crops (count, 6, side + 2 halo, ...) and their targets (count, side, side), turned and mirrored at random."""
        reach = side + 2 * halo
        planes, targets = [], []
        for _ in range(count):
            index = int(rng.integers(len(self.planes)))
            y, x = (int(v) for v in rng.integers(0, self.planes.shape[-1] - reach + 1, size=2))
            turn, mirror = int(rng.integers(4)), bool(rng.integers(2))
            crop = _turned(self.planes[index, :, y : y + reach, x : x + reach], turn, mirror)
            inner = slice(y + halo, y + halo + side), slice(x + halo, x + halo + side)
            planes.append(crop)
            targets.append(_turned(self.targets[index][inner], turn, mirror))
        return torch.stack(planes), torch.stack(targets)


def nuclear_pixels(patch: npt.NDArray[np.uint8], stats: SlideStats) -> npt.NDArray[np.float32]:
    """Which pixels of (y, x, 3) RGB have smoothed nuclear stain above the slide's threshold; (y, x) float32, 0 or 1."""
    nuclear, _ = stain_density(patch, stats)
    return (smooth(nuclear, BORDER_SIGMA_PX) > stats.nuclear_od).astype(np.float32)


def grid_loss(logits: Tensor, targets: Tensor, *, cell_px: int) -> Tensor:
    """Cross entropy of the share of nuclear pixels in each cell; logits (b, j, i), targets (b, j cell, i cell).

    Parameters
    ----------
    logits : (b, j, i) float32
        One for each cell of the grid.
    targets : (b, j cell_px, i cell_px) float32
        1 where a pixel is nuclear.
    cell_px : int
        Side of a cell, pixels.
    """
    shares = F.avg_pool2d(targets[:, None], cell_px)[:, 0]
    return F.binary_cross_entropy_with_logits(logits, shares)


def pretrain(
    patches_per_slide: Sequence[Patches],
    config: EncoderConfig,
    *,
    stain: Stain = "he",
    device: Device,
    progress: Progress | None = None,
) -> ActivationNet:
    """Activation network trained on patches of one slide or several.

    Parameters
    ----------
    patches_per_slide : sequence of (n, p, p, 3) uint8
        Patches of each slide; the constants of its staining are measured on its own.
    config : EncoderConfig
        Shape, seed and length. The result is the same to the bit for one number of torch threads.
    stain : {'he', 'unknown'}
        Whether the stains are known.
    device : {'cpu', 'cuda'}
        Where to learn; the network stays there.
    progress : callable, optional
        Called after every step.

    Raises
    ------
    FitError
        A slide has too little tissue, the patches are smaller than a crop, or the loss is not finite.
    """
    shape = EncoderShape(config.width, config.blocks, config.hidden, config.cell_px)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(shape).to(device)
    side, reach = _CROP_CELLS * config.cell_px, _CROP_CELLS * config.cell_px + 2 * encoder.shape.halo_px
    if any(min(patches.shape[1:3]) < reach for patches in patches_per_slide):
        raise FitError(f"patches must be at least {reach} px wide for encoder.cell_px={config.cell_px}")
    samples, rng = _Samples.of(patches_per_slide, stain), np.random.default_rng(config.seed)

    def batch() -> tuple[Tensor, Tensor]:
        planes, targets = samples.draw(config.batch, side, encoder.shape.halo_px, rng)
        return planes.to(device), targets.to(device)

    loss = _learn(encoder, batch, config, progress)
    weights, constants = _freeze(encoder, [batch()[0] for _ in range(_WEIGHT_BATCHES)])
    provenance = _provenance(patches_per_slide, config, loss)
    return ActivationNet(encoder, weights, constants, stain=stain, provenance=provenance, device=device)


def _learn(
    encoder: Encoder, batch: Callable[[], tuple[Tensor, Tensor]], config: EncoderConfig, progress: Progress | None
) -> float:
    """Run the optimiser; return the mean loss of the last tenth of the steps."""
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=config.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=config.steps + 1)
    losses: list[Tensor] = []

    def loss_of(_: int) -> Tensor:
        planes, targets = batch()
        loss = grid_loss(encoder(planes), targets, cell_px=config.cell_px)
        losses.append(loss.detach())
        return loss

    learn(Learner(encoder, optimiser, schedule), loss_of, Plan("encoder", config.steps), progress=progress)
    return float(np.mean([loss.item() for loss in losses[-max(1, config.steps // 10) :]]))


@torch.no_grad()
def _freeze(encoder: Encoder, batches: list[Tensor]) -> tuple[list[Tensor], MapConstants]:
    """Mean channel weights and the scales of the map over some batches."""
    per_batch = [channel_weights(encoder, planes) for planes in batches]
    weights = [torch.stack(block).mean(dim=0) for block in zip(*per_batch, strict=True)]
    activations = [torch.cat(block) for block in zip(*map(encoder.activations, batches), strict=True)]
    sums = weighted_sums(activations, weights)
    if not all(bool(s.std() > 0) for s in sums):
        raise FitError("the activation map is the same everywhere: expected stained tissue")
    means, stds = tuple(float(s.mean()) for s in sums), tuple(float(s.std()) for s in sums)
    averaged = average_map(activations, weights, MapConstants(means, stds, 0, 1)).cpu().numpy()
    low, high = (float(v) for v in np.percentile(averaged, [LOW_PERCENTILE, HIGH_PERCENTILE]))
    return weights, MapConstants(means, stds, low, high)


def _provenance(patches_per_slide: Sequence[Patches], config: EncoderConfig, loss: float) -> dict[str, Any]:
    digest = hashlib.sha256()
    for patches in patches_per_slide:
        digest.update(patches.tobytes())
    return {
        "slides": len(patches_per_slide),
        "patches": sum(len(patches) for patches in patches_per_slide),
        "patches_sha256": digest.hexdigest(),
        "encoder": config.model_dump(mode="json"),
        "final_loss": round(loss, 6),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _turned(array: Tensor, turn: int, mirror: bool) -> Tensor:
    turned = torch.rot90(array, turn, (-2, -1))
    return turned.flip(-1) if mirror else turned

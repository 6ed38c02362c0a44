"""Learning without labels: repeatable, falling loss, known sign, frozen constants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import rankdata
from skimage.io import imread

from wsipsm.config import EncoderConfig
from wsipsm.core.errors import FitError
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.nuclei.pretrain import grid_loss, nuclear_pixels, pretrain
from wsipsm.slide.sample import he_field
from wsipsm.stain.normalise import measure_slide

CPU = "cpu"
QUICK = EncoderConfig(steps=30, batch=8, patches=16, patch_px=96)


def cut(image: npt.NDArray[np.uint8], count: int, side: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    corners = np.random.default_rng(seed).integers(0, np.array(image.shape[:2]) - side + 1, size=(count, 2))
    return np.stack([image[y : y + side, x : x + side] for y, x in corners])


@pytest.fixture(scope="module")
def patches() -> npt.NDArray[np.uint8]:
    """Patches of real H&E at 0.5 um/px."""
    field = imread(he_field())[..., :3].reshape(500, 2, 500, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    return cut(field, 16, 96)


def auc(positive: npt.NDArray[np.bool_], values: npt.NDArray[np.float32]) -> float:
    ranks, count = rankdata(values.ravel())[positive.ravel()], int(positive.sum())
    return float((ranks.sum() - count * (count + 1) / 2) / (count * (positive.size - count)))


def test_the_loss_falls(patches: npt.NDArray[np.uint8]) -> None:
    losses: list[float] = []

    pretrain([patches], QUICK, device=CPU, progress=lambda record: losses.append(record.loss or 0.0))

    assert len(losses) == QUICK.steps
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.05


@pytest.mark.parametrize("seed", [0, 1])
def test_nuclei_are_high_in_the_map(patches: npt.NDArray[np.uint8], seed: int) -> None:
    stats = measure_slide(patches)

    net = pretrain([patches], QUICK.model_copy(update={"seed": seed}), device=CPU)

    h = net.halo_px
    maps = np.stack([net.maps(patch, stats) for patch in patches])
    dark = np.stack([nuclear_pixels(patch, stats)[h:-h, h:-h] for patch in patches]) > 0
    assert auc(dark, maps) > 0.85
    assert maps.min() == 0
    assert maps.max() == 1


def test_learning_twice_gives_the_same_bits(patches: npt.NDArray[np.uint8]) -> None:
    config = QUICK.model_copy(update={"steps": 4})

    with limited_threads(1):
        torch.manual_seed(5)
        one = pretrain([patches], config, device=CPU).checkpoint()
        torch.manual_seed(6)
        other = pretrain([patches], config, device=CPU).checkpoint()

    assert one.table == other.table
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_another_seed_learns_something_else(patches: npt.NDArray[np.uint8]) -> None:
    one, other = (
        pretrain([patches], QUICK.model_copy(update={"steps": 2, "seed": seed}), device=CPU) for seed in (0, 1)
    )

    assert not torch.equal(one.weights[0], other.weights[0])


def test_learning_leaves_torchs_random_state_alone(patches: npt.NDArray[np.uint8]) -> None:
    before = torch.get_rng_state()

    pretrain([patches], QUICK.model_copy(update={"steps": 1}), device=CPU)

    assert torch.equal(torch.get_rng_state(), before)


def test_provenance_tells_the_patches_and_the_configuration(patches: npt.NDArray[np.uint8]) -> None:
    config = QUICK.model_copy(update={"steps": 1})

    one, other = (pretrain([p, p[:4]], config, device=CPU).provenance for p in (patches, patches[::-1]))

    assert (one["slides"], one["patches"], one["encoder"]["steps"]) == (2, 20, 1)
    assert one["patches_sha256"] != other["patches_sha256"]


def test_each_slide_is_measured_by_itself(patches: npt.NDArray[np.uint8]) -> None:
    faint = np.rint(256 * ((patches + 1.0) / 256) ** 0.5 - 1).clip(0, 255).astype(np.uint8)

    strong, weak = (nuclear_pixels(p[0], measure_slide(p)) for p in (patches, faint))

    assert (strong == weak).mean() > 0.95
    assert 0.05 < strong.mean() < 0.7


def test_the_loss_is_the_cross_entropy_of_shares() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 3, generator=generator)
    targets = (torch.rand(2, 8, 12, generator=generator) > 0.6).float()

    found = grid_loss(logits, targets, cell_px=4)

    terms = []
    for b, j, i in np.ndindex(2, 2, 3):
        share = float(targets[b, 4 * j : 4 * j + 4, 4 * i : 4 * i + 4].mean())
        p = 1 / (1 + np.exp(-float(logits[b, j, i])))
        terms.append(-share * np.log(p) - (1 - share) * np.log(1 - p))
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-5)


def test_small_patches_are_refused(patches: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(FitError, match="at least 138 px"):
        pretrain([patches], QUICK.model_copy(update={"cell_px": 32}), device=CPU)


def test_glass_is_refused() -> None:
    with pytest.raises(FitError, match="are tissue"):
        pretrain([np.full((4, 96, 96, 3), 250, np.uint8)], QUICK, device=CPU)

"""Resolution from nuclei: the ladder, the network on rescaled fields, and the warning."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from tests.helpers.slidegen import read_rgb
from wsipsm.nuclei import resolution
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.models import SHIPPED_MPP, shipped_model
from wsipsm.nuclei.resolution import NuclearScale, Rung, climb, cores, nuclear_scale, rescaled
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.slide.sample import HE_FIELD_MPP, he_field
from wsipsm.stain.normalise import measure_slide


@pytest.fixture(scope="module")
def net() -> SegmentationNet:
    return load_segmenter(shipped_model(), mpp=SHIPPED_MPP, device="cpu")


def field_at(mpp: float) -> np.ndarray:
    """Quarters of the H&E field, (4, y, x, 3), at a resolution."""
    image = read_rgb(he_field())
    side = round(len(image) * HE_FIELD_MPP / mpp / 2) * 2
    small = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BOX))
    return small.reshape(2, side // 2, 2, side // 2, 3).swapaxes(1, 2).reshape(4, side // 2, side // 2, 3)


@pytest.mark.parametrize("claimed", [0.25, 0.5, 1.0])
def test_the_resolution_of_the_field_is_found_whatever_is_claimed(net: SegmentationNet, claimed: float) -> None:
    patches = field_at(SHIPPED_MPP)

    found = nuclear_scale(patches, net, measure_slide(patches), mpp=claimed)

    assert found is not None
    assert claimed * found.factor == pytest.approx(SHIPPED_MPP, rel=0.35)
    assert found.doubtful == (claimed != SHIPPED_MPP)


def test_the_claim_and_the_estimate_do_not_depend_on_each_other(net: SegmentationNet) -> None:
    patches = field_at(SHIPPED_MPP)
    stats = measure_slide(patches)

    found = [nuclear_scale(patches, net, stats, mpp=mpp) for mpp in (0.35, 0.5, 0.7)]

    estimates = [mpp * one.factor for mpp, one in zip((0.35, 0.5, 0.7), found, strict=True) if one is not None]
    assert len(estimates) == 3
    assert max(estimates) < 1.2 * min(estimates)


def test_a_field_without_nuclei_gives_no_estimate(net: SegmentationNet) -> None:
    noise = np.random.default_rng(0).normal(0, 4, (2, 200, 200, 1))
    patches = np.clip(np.array([230, 170, 200]) + noise, 0, 255).astype(np.uint8)

    assert nuclear_scale(patches, net, measure_slide(patches)) is None


def test_the_ladder_ends_where_there_are_too_few_nuclei() -> None:
    asked: list[int] = []

    def rung_at(rung: int) -> None:
        asked.append(rung)

    assert climb(rung_at) is None
    assert sorted(asked) == [-1, 0, 1]


def test_no_rung_is_looked_at_twice_and_the_ladder_ends() -> None:
    asked: list[int] = []

    def rung_at(rung: int) -> Rung:
        asked.append(rung)
        return Rung(size=9.0, peak=0.1, cores=50)  # nuclei that never get smaller

    found = climb(rung_at)

    assert found is not None
    assert len(asked) == len(set(asked))
    assert max(map(abs, asked)) <= resolution.MAX_RUNG


def test_the_warning_says_what_to_do() -> None:
    assert NuclearScale(2.1, 80).warning(0.25) == (
        "resolution does not fit the nuclei: at 0.25 µm/px they look 2.1 times too small; "
        "if the slide has 0.53 µm/px, use --slide-mpp 0.53"
    )
    assert "1.9 times too large" in NuclearScale(1 / 1.9, 80).warning(0.5)


@pytest.mark.parametrize(("factor", "doubtful"), [(1.0, False), (1.4, False), (1.5, True), (0.71, False), (0.67, True)])
def test_what_is_doubtful(factor: float, doubtful: bool) -> None:
    assert NuclearScale(factor, 80).doubtful == doubtful


def test_cores_are_measured_and_those_at_the_border_left_out() -> None:
    margin = 8
    y, x = np.mgrid[:116, :116]
    distance = np.zeros((116, 116), np.float32)
    for middle in ((40, 40), (margin, 70)):
        distance = np.maximum(distance, 1 - np.hypot(y - middle[0], x - middle[1]) / 15)

    logs, peaks = cores((distance, distance.astype(np.float32)))

    assert 2**logs == pytest.approx([18], rel=0.06)  # of 30 px, above a distance of 0.4
    assert peaks == pytest.approx([1], abs=0.1)


@pytest.mark.parametrize("scale", [0.25, 0.7, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("shape", [(96, 128, 128, 3), (1, 1000, 1000, 3), (5, 60, 300, 3)])
def test_the_network_sees_a_bounded_number_of_pixels(shape: tuple[int, ...], scale: float) -> None:
    found = rescaled(np.zeros(shape, np.uint8), scale)

    assert found
    assert sum(math.prod(image.shape[:2]) for image in found) <= 200_000

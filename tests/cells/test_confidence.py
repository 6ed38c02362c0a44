"""Confidence of cells, against a slow oracle and on shapes whose confidence is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import distance_transform_edt

from wsipsm.cells.confidence import confidences
from wsipsm.cells.regions import Components, largest_components

MPP = 0.5


def disk(radius: int = 8, side: int = 41) -> npt.NDArray[np.int32]:
    y, x = np.mgrid[:side, :side] - side // 2
    return (x * x + y * y <= radius * radius).astype(np.int32)


def components_of(labels: npt.NDArray[np.int32]) -> Components:
    return largest_components(labels, np.ones(int(labels.max()), bool))


def confidence_of(labels: npt.NDArray[np.int32], inside: int, outside: int, peak: int = 255) -> float:
    activation = np.where(labels > 0, inside, outside).astype(np.uint8)
    evidence = np.where(labels > 0, peak, 0).astype(np.uint8)
    return float(confidences(components_of(labels), activation, evidence, mpp=MPP)[0])


def test_a_perfect_nucleus_has_one_and_what_does_not_stand_out_has_none() -> None:
    assert confidence_of(disk(), 255, 0) > 0.97
    assert confidence_of(disk(), 200, 200) == 0
    assert confidence_of(disk(), 100, 200) == 0
    assert confidence_of(disk(), 255, 0, peak=128) == 0


def test_each_factor_lowers_it() -> None:
    whole = confidence_of(disk(), 255, 0)

    assert confidence_of(disk(), 255, 51) == pytest.approx(0.8 * whole)
    assert confidence_of(disk(), 255, 0, peak=128 + 127 // 2) == pytest.approx(63 / 127 * whole)
    cross = np.zeros((41, 41), np.int32)
    cross[18:23, 4:37] = cross[4:37, 18:23] = 1
    assert confidence_of(cross, 255, 0) < 0.3 * whole


def test_background_is_what_has_no_evidence_within_the_ring() -> None:
    labels = disk()
    away = distance_transform_edt(labels == 0)
    activation = np.where(labels > 0, 255, 0).astype(np.uint8)
    activation[(away > 0) & (away <= 3)] = 255
    evidence = np.where(labels > 0, 255, 0).astype(np.uint8)
    hidden = evidence.copy()
    hidden[(away > 0) & (away <= 3)] = 200  # belongs to something else

    seen, unseen = (
        float(confidences(components_of(labels), activation, one, mpp=MPP)[0]) for one in (evidence, hidden)
    )

    assert seen == 0
    assert unseen > 0.97


def test_it_is_the_same_to_the_bit_in_every_window() -> None:
    rng = np.random.default_rng(3)
    labels = np.zeros((90, 90), np.int32)
    for number, (y, x) in enumerate(((20, 20), (20, 60), (60, 30)), start=1):
        labels[y : y + 12, x : x + 9] = number
    activation, evidence = (rng.integers(0, 256, labels.shape, np.uint8) for _ in range(2))
    whole = confidences(components_of(labels), activation, evidence, mpp=MPP)

    part = np.s_[14:50, 50:80]
    cut = (labels[part] > 0).astype(np.int32)
    alone = confidences(components_of(cut), activation[part], evidence[part], mpp=MPP)

    assert alone.tolist() == whole[[1]].tolist()

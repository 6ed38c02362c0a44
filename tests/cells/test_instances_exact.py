"""A window with enough halo cannot be told from the plane."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.evidence_fields import KINDS, SMALL, Evidence, disc, field
from wsipsm.cells.instances import anchors, halo_px, instances
from wsipsm.config import LabelsConfig


def assert_window_equals_plane(
    plane: Evidence,
    mask: npt.NDArray[np.bool_],
    core: tuple[int, int, int, int],
    config: LabelsConfig,
    mpp: float = 1.0,
) -> int:
    """Compare a core read with its halo to the plane; the number of owned instances."""
    y0, x0, y1, x1 = core
    halo = halo_px(config, mpp)
    whole = instances(plane, mask, mpp=mpp, config=config)
    window = (slice(y0 - halo, y1 + halo), slice(x0 - halo, x1 + halo))
    seen = instances(plane[window], mask[window], mpp=mpp, config=config)
    whole_anchors = anchors(whole)
    seen_anchors = np.add(anchors(seen), (x0 - halo, y0 - halo))

    def in_core(xy: np.ndarray) -> np.ndarray:
        return (xy[:, 0] >= x0) & (xy[:, 0] < x1) & (xy[:, 1] >= y0) & (xy[:, 1] < y1)

    owned_whole, owned_seen = np.flatnonzero(in_core(whole_anchors)), np.flatnonzero(in_core(seen_anchors))
    np.testing.assert_array_equal(seen_anchors[owned_seen], whole_anchors[owned_whole])
    for one, other in zip(owned_whole + 1, owned_seen + 1, strict=True):
        pixels = np.add(np.argwhere(seen == other), (y0 - halo, x0 - halo))
        np.testing.assert_array_equal(pixels, np.argwhere(whole == one))
    by_anchor_whole = np.vstack([[-1, -1], whole_anchors])[whole[y0:y1, x0:x1]]
    by_anchor_seen = np.vstack([[-1, -1], seen_anchors])[seen[halo:-halo, halo:-halo]]
    background = np.stack([whole[y0:y1, x0:x1] == 0] * 2, axis=-1)
    np.testing.assert_array_equal(np.where(background, -1, by_anchor_seen), by_anchor_whole)
    np.testing.assert_array_equal(seen[halo:-halo, halo:-halo] == 0, whole[y0:y1, x0:x1] == 0)
    return owned_whole.size


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 2**32 - 1),
    y0=st.integers(60, 100),
    x0=st.integers(60, 100),
    height=st.integers(1, 25),
    width=st.integers(1, 25),
    growth_um=st.integers(0, 4),
    max_hole_um2=st.integers(0, 12),
    sharpen_um=st.integers(0, 2),
)
def test_a_window_with_halo_gives_the_instances_of_the_plane(
    kind: str,
    seed: int,
    y0: int,
    x0: int,
    height: int,
    width: int,
    growth_um: int,
    max_hole_um2: int,
    sharpen_um: int,
) -> None:
    rng = np.random.default_rng(seed)
    config = SMALL.model_copy(update={"growth_um": growth_um, "max_hole_um2": max_hole_um2, "sharpen_um": sharpen_um})
    plane = np.pad(field(kind, rng, (64, 64)), 60)
    mask = (plane >= 128) ^ (rng.random(plane.shape) < 0.1)

    assert_window_equals_plane(plane, mask, (y0, x0, y0 + height, x0 + width), config)


@pytest.mark.parametrize("kind", KINDS)
def test_every_offset_of_a_window_gives_the_instances_of_the_plane(kind: str) -> None:
    plane = np.pad(field(kind, np.random.default_rng(7), (48, 48)), 60)
    mask = plane >= 128

    owned = sum(
        assert_window_equals_plane(plane, mask, (y, x, y + 16, x + 16), SMALL)
        for y in range(60, 92, 3)
        for x in range(60, 92, 5)
    )

    assert owned > 20 or kind == "checkerboard"


def test_a_grid_of_cores_owns_every_instance_of_the_plane_once() -> None:
    plane = np.pad(field("blobs", np.random.default_rng(3), (120, 120)), 60)
    mask = plane >= 128
    whole = instances(plane, mask, mpp=1, config=SMALL)

    owned = [
        assert_window_equals_plane(plane, mask, (y, x, y + 30, x + 30), SMALL)
        for y in range(60, 180, 30)
        for x in range(60, 180, 30)
    ]

    assert sum(owned) == whole.max() > 50


def test_a_cell_that_reaches_the_blind_margin_of_a_window_is_refused() -> None:
    evidence = np.pad(np.where(disc((40, 40), 20, 20, 4), 200, 0).astype(np.uint8), 40)
    first_column, blind = 56, 3  # holes of 3 px, no sharpening
    config = SMALL.model_copy(update={"sharpen_um": 0})

    touching, free = (evidence[:, first_column - blind - gap :] for gap in (0, 1))

    assert instances(touching, touching >= 128, mpp=1, config=config).max() == 0
    assert instances(free, free >= 128, mpp=1, config=config).max() == 1


@pytest.mark.shared_data
def test_real_nuclei_are_found_alike_in_windows_and_at_once(shared_data: Path) -> None:
    image = cv2.imread(str(sorted((shared_data / "monuseg" / "images").glob("*.tif"))[0]))
    grey = cv2.GaussianBlur(cv2.resize(image, (500, 500), interpolation=cv2.INTER_AREA).min(axis=2), (0, 0), 1)
    dark = 255 - grey.astype(np.float64)
    split, _ = cv2.threshold(dark.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    evidence = np.clip(128 + (dark - split) * 127 / (dark.max() - split), 0, 255).astype(np.uint8)
    config = LabelsConfig()
    margin = halo_px(config, mpp=0.5)
    plane = np.pad(evidence, margin)

    owned = [
        assert_window_equals_plane(plane, plane >= 128, (y, x, y + 125, x + 125), config, mpp=0.5)
        for y in range(margin, margin + 500, 125)
        for x in range(margin, margin + 500, 125)
    ]

    assert sum(owned) == instances(plane, plane >= 128, mpp=0.5, config=config).max() > 100

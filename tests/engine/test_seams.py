"""The promise of the tiler: the same cells however the slide was cut and whoever worked on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.helpers.results import QUICK_FIT, SEGMENTER, cells_of, labels_of, run_slide

PROCESSES = "schedule.processes=true"
CUTS = {
    "1024 px cores": ("tiles.core_px=1024",),
    "random order": ("tiles.core_px=512", "tiles.order=random"),
    "two processes": ("tiles.core_px=512", PROCESSES),
    "four threads": ("tiles.core_px=512", "schedule.workers=4"),
}


@pytest.mark.parametrize("settings", CUTS.values(), ids=CUTS.keys())
def test_a_cut_gives_the_cells_of_the_whole(
    slide: Path, whole: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    cut = run_slide(slide, tmp_path, QUICK_FIT, *settings, encoder=whole / "calibration.safetensors")

    assert_same(cut, whole)


def assert_same(cut: Path, whole: Path) -> None:
    """Same cells, ids and labels."""
    expected, found = cells_of(whole), cells_of(cut)
    assert len(expected) > 500
    assert found.drop(columns="uuid").equals(expected.drop(columns="uuid"))
    assert (found["uuid"] == expected["uuid"]).all()
    np.testing.assert_array_equal(labels_of(cut), labels_of(whole))


@pytest.fixture(scope="module")
def segmented(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the segmenter with the slide as one tile."""
    return run_slide(slide, tmp_path_factory.mktemp("segmented"), SEGMENTER, "tiles.core_px=2048")


@pytest.mark.parametrize("name", ["random order", "two processes", "four threads"])
def test_a_cut_gives_the_segmenter_s_cells_of_the_whole(
    slide: Path, segmented: Path, tmp_path: Path, name: str
) -> None:
    cut = run_slide(slide, tmp_path, SEGMENTER, *CUTS[name])

    assert_same(cut, segmented)


def test_small_cores_give_the_segmenter_s_cells_of_the_whole(slide: Path, segmented: Path, tmp_path: Path) -> None:
    assert_same(run_slide(slide, tmp_path, SEGMENTER, "tiles.core_px=256"), segmented)


def test_a_fit_of_ones_own_gives_the_same_again(slide: Path, whole: Path, tmp_path: Path) -> None:
    again = run_slide(slide, tmp_path, "tiles.core_px=1024", QUICK_FIT)

    assert cells_of(again).equals(cells_of(whole))


def test_small_cores_give_the_cells_of_the_whole_and_no_outline_follows_a_border(
    whole: Path, slide: Path, tmp_path: Path
) -> None:
    cut = run_slide(slide, tmp_path, QUICK_FIT, "tiles.core_px=256", encoder=whole / "calibration.safetensors")
    labels = labels_of(cut)

    assert_same(cut, whole)

    at_borders = [straight_runs(labels, x) for x in range(256, labels.shape[1], 256)]
    elsewhere = [straight_runs(labels, x) for x in range(100, labels.shape[1]) if x % 256]

    assert np.mean(at_borders) <= np.mean(elsewhere) + 3 * np.std(elsewhere) / len(at_borders) ** 0.5


def straight_runs(labels: npt.NDArray[np.int32], x: int) -> int:
    """Stretches of 4 px or more along which a cell ends exactly at column border ``x``."""
    left, right = labels[:, x - 1], labels[:, x]
    edge = np.concatenate([[False], (left != right), [False]])
    starts, ends = np.flatnonzero(~edge[:-1] & edge[1:]), np.flatnonzero(edge[:-1] & ~edge[1:])
    return int((ends - starts >= 4).sum())

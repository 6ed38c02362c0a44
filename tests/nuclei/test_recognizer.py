"""What a slide is mapped with: fitted, saved, loaded, and applied block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.io import imread

from wsipsm.config import Config, EncoderConfig
from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.core.geometry import Box, Grid
from wsipsm.core.maps import CHANNELS
from wsipsm.nuclei.calibrate_psm import calibrate_psm
from wsipsm.nuclei.load import load_recognizer
from wsipsm.nuclei.nets.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from wsipsm.nuclei.psm import PsmRecognizer
from wsipsm.slide.sample import he_field
from wsipsm.stain.optics import optical_density, unmix
from wsipsm.tissue.region import Region
from wsipsm.tissue.sampling import patch_boxes

CPU = "cpu"
CONFIG = Config(encoder=EncoderConfig(steps=20, batch=8, patches=16))
BLOCK = 64


@pytest.fixture(scope="module")
def field() -> npt.NDArray[np.uint8]:
    """Real H&E, 500 x 500 px at 0.5 um/px."""
    whole: npt.NDArray[np.uint8] = imread(he_field())[..., :3]
    return whole.reshape(500, 2, 500, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)


@pytest.fixture(scope="module")
def patches(field: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    side = CONFIG.encoder.patch_px
    corners = np.random.default_rng(0).integers(0, 500 - side + 1, size=(CONFIG.encoder.patches, 2))
    return np.stack([field[y : y + side, x : x + side] for y, x in corners])


@pytest.fixture(scope="module")
def recognizer(patches: npt.NDArray[np.uint8]) -> PsmRecognizer:
    return calibrate_psm(patches, CONFIG, device=CPU)


def test_blocks_are_mapped_as_the_whole(recognizer: PsmRecognizer, field: npt.NDArray[np.uint8]) -> None:
    halo = recognizer.halo_px
    whole = recognizer.block(field)
    side = whole.shape[1] // BLOCK * BLOCK

    tiled = np.zeros_like(whole[:, :side, :side])
    for y in range(0, side, BLOCK):
        for x in range(0, side, BLOCK):
            block = field[y : y + BLOCK + 2 * halo, x : x + BLOCK + 2 * halo]
            tiled[:, y : y + BLOCK, x : x + BLOCK] = recognizer.block(block)

    off = np.abs(tiled.astype(int) - whole[:, :side, :side])
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


def test_a_block_depends_on_no_pixel_beyond_the_halo(recognizer: PsmRecognizer, field: npt.NDArray[np.uint8]) -> None:
    halo = recognizer.halo_px
    image = field[: BLOCK + 2 * halo, : BLOCK + 2 * halo]
    wider = np.random.default_rng(0).integers(0, 256, (image.shape[0] + 40, image.shape[1] + 40, 3), dtype=np.uint8)
    wider[20:-20, 20:-20] = image

    off = np.abs(recognizer.block(wider)[:, 20:-20, 20:-20].astype(int) - recognizer.block(image))

    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3


def test_a_block_twice_gives_the_same_bits(recognizer: PsmRecognizer, field: npt.NDArray[np.uint8]) -> None:
    view = field[30 : 30 + BLOCK + 2 * recognizer.halo_px, 50 : 50 + BLOCK + 2 * recognizer.halo_px]

    np.testing.assert_array_equal(recognizer.block(view), recognizer.block(view.copy()))


def test_stain_maps_are_fiftieths_of_optical_density_of_either_sign(
    recognizer: PsmRecognizer, field: npt.NDArray[np.uint8]
) -> None:
    halo = recognizer.halo_px

    maps = dict(zip(CHANNELS, recognizer.block(field), strict=True))

    inner = field[halo:-halo, halo:-halo]
    for name, plane in zip(("nuclear_stain", "counterstain"), unmix(optical_density(inner)), strict=True):
        assert plane.min() < -0.02
        np.testing.assert_allclose(maps[name].view(np.int8) / 50, plane, atol=0.0101)


@settings(max_examples=15, deadline=None)
@given(colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_any_flat_colour_gives_flat_maps(recognizer: PsmRecognizer, colour: tuple[int, int, int]) -> None:
    side = 8 + 2 * recognizer.halo_px

    maps = recognizer.block(np.full((side, side, 3), colour, np.uint8))

    assert maps.shape == (4, 8, 8)
    assert np.ptp(maps.reshape(4, -1).astype(int), axis=1).max() <= 1


def test_glass_is_no_nucleus(recognizer: PsmRecognizer) -> None:
    side = 8 + 2 * recognizer.halo_px

    maps = dict(zip(CHANNELS, recognizer.block(np.full((side, side, 3), 255, np.uint8)), strict=True))

    assert maps["evidence"].max() < 128
    assert maps["activation"].max() < 64


def test_a_recognizer_survives_its_file(
    recognizer: PsmRecognizer, field: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    recognizer.save(tmp_path / "calibration.safetensors")

    again = load_recognizer(tmp_path / "calibration.safetensors", device=CPU)

    assert (again.stats, again.clusters) == (recognizer.stats, recognizer.clusters)
    np.testing.assert_array_equal(again.block(field[:150, :150]), recognizer.block(field[:150, :150]))


def test_fitting_again_with_ones_own_file_gives_the_same_bits(
    recognizer: PsmRecognizer, patches: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    recognizer.save(tmp_path / "one.pt")

    calibrate_psm(patches, CONFIG, encoder=tmp_path / "one.pt", device=CPU).save(tmp_path / "two.pt")

    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_another_slides_constants_are_not_taken_over(recognizer: PsmRecognizer, patches: npt.NDArray[np.uint8]) -> None:
    faint = np.rint(256 * ((patches + 1.0) / 256) ** 0.5 - 1).clip(0, 255).astype(np.uint8)

    other = calibrate_psm(faint, CONFIG, encoder=recognizer.net, device=CPU)

    np.testing.assert_allclose(np.array(other.stats.od_p99) * 2, recognizer.stats.od_p99, rtol=0.05)
    halo = recognizer.halo_px
    masks = [r.block(p[0])[1] >= 128 for r, p in ((recognizer, patches), (other, faint))]
    assert masks[0].shape == (128 - 2 * halo, 128 - 2 * halo)
    assert (masks[0] == masks[1]).mean() > 0.95


def test_an_encoder_alone_is_no_fit(recognizer: PsmRecognizer, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "encoder.safetensors", recognizer.net.checkpoint())

    with pytest.raises(CheckpointError, match="of kind 'encoder', expected 'fit'"):
        load_recognizer(tmp_path / "encoder.safetensors", device=CPU)


def test_a_fit_without_clusters_is_refused(recognizer: PsmRecognizer, tmp_path: Path) -> None:
    recognizer.save(tmp_path / "calibration.safetensors")
    whole = load_checkpoint(tmp_path / "calibration.safetensors")
    table = {key: value for key, value in whole.table.items() if key != "clusters"}
    save_checkpoint(tmp_path / "calibration.safetensors", Checkpoint("fit", table, whole.tensors))

    with pytest.raises(CheckpointError, match=r"calibration\.safetensors: the constants of the slide are missing"):
        load_recognizer(tmp_path / "calibration.safetensors", device=CPU)


def test_patches_with_hardly_any_tissue_are_refused(recognizer: PsmRecognizer, patches: npt.NDArray[np.uint8]) -> None:
    empty = np.full_like(patches, 250)
    empty[:, :5] = patches[:, :5]

    with pytest.raises(FitError, match="sampled tissue pixels"):
        calibrate_psm(empty, CONFIG, encoder=recognizer.net, device=CPU)


def test_patches_narrower_than_the_halo_are_refused(recognizer: PsmRecognizer, patches: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(FitError, match=r"raise encoder\.patch_px"):
        calibrate_psm(patches[:, :60, :60], CONFIG, encoder=recognizer.net, device=CPU)


GRID = Grid(4000, 3000, 2.0, 0.5)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    corners=st.tuples(st.floats(0, 5000), st.floats(0, 4000), st.floats(100, 3000), st.floats(100, 2000)),
)
def test_patches_lie_in_the_plane_around_points_of_the_region(
    seed: int, corners: tuple[float, float, float, float]
) -> None:
    x, y, width, height = corners
    region = Region(shapely.MultiPolygon([shapely.box(x, y, x + width, y + height)]))

    boxes = patch_boxes(region, GRID, EncoderConfig(seed=seed, patches=20))

    assert len(boxes) == 20
    for box in boxes:
        assert box.shape == (128, 128)
        assert box.intersect(GRID.box) == box
        assert shapely.box(*(2 * v for v in (box.x0, box.y0, box.x1, box.y1))).intersects(region.polygons)
    assert boxes == patch_boxes(region, GRID, EncoderConfig(seed=seed, patches=20))
    assert boxes == sorted(boxes, key=lambda box: (box.y0, box.x0))


def test_slivers_on_a_wide_plane_are_sampled() -> None:
    slivers = [shapely.box(10, 10, 10.001, 10.001), shapely.box(7000, 5000, 7000.001, 5000.001)]

    boxes = patch_boxes(Region(shapely.MultiPolygon(slivers)), GRID, EncoderConfig(patches=9))

    assert set(boxes) == {Box(0, 0, 128, 128), Box(3436, 2436, 3564, 2564)}


def test_patches_are_spread_by_area() -> None:
    parts = [shapely.box(0, 0, 2000, 6000), shapely.box(7000, 0, 8000, 6000)]

    boxes = patch_boxes(Region(shapely.MultiPolygon(parts)), GRID, EncoderConfig(patches=600))

    assert np.mean([box.x0 < 1500 for box in boxes]) == pytest.approx(2 / 3, abs=0.06)


def test_a_plane_smaller_than_a_patch_gives_patches_beyond_its_edge() -> None:
    region = Region(shapely.MultiPolygon([shapely.box(0, 0, 100, 80)]))

    boxes = patch_boxes(region, Grid(50, 40, 2.0, 0.5), EncoderConfig(patches=8))

    assert set(boxes) == {Box(-39, -44, 89, 84)}  # the plane in the middle


def test_no_region_no_patches() -> None:
    with pytest.raises(FitError, match="no tissue"):
        patch_boxes(Region(shapely.MultiPolygon()), GRID, EncoderConfig())

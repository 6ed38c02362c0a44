"""Tissue masks and outlines, on real images and on what goes wrong with slides."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PillowImage

from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Image, Mask
from wsipsm.slide import open_slide
from wsipsm.tissue.mask import tissue_mask, tissue_polygons

MPP = 8.0
INKS = {
    "blue": (30, 60, 180),
    "pale blue": (90, 130, 210),
    "navy": (20, 20, 90),
    "green": (20, 120, 60),
    "pale green": (60, 150, 110),
    "red": (205, 25, 40),
    "black": (25, 25, 30),
    "grey": (70, 70, 75),
}


def found(thumbnail: Image, mpp: float = MPP) -> Mask:
    return tissue_mask(thumbnail, mpp=mpp, config=TissueConfig())


def shrunk(image: Image, factor: float) -> Image:
    height, width = image.shape[:2]
    return cv2.resize(image, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)


def field(path: Path, mpp: float = 0.25) -> Image:
    with PillowImage.open(path) as image:
        return shrunk(np.array(image.convert("RGB")), MPP / mpp)


def glass(
    shape: tuple[int, int] = (300, 400), *, sigma: float = 0.0, colour: tuple[int, int, int] = (243, 242, 240)
) -> Image:
    noise = np.random.default_rng(0).normal(0, sigma, (*shape, 3))
    return np.clip(np.array(colour) + noise, 0, 255).round().astype(np.uint8)


def square_of_tissue(side: int = 60, pale: float = 0.0) -> tuple[Image, Mask]:
    """Pink and violet texture in the middle of clean glass, and where it is."""
    slide, truth = glass(), np.zeros((300, 400), bool)
    truth[120 : 120 + side, 150 : 150 + side] = True
    mixed = np.random.default_rng(1).random((int(truth.sum()), 1))
    stain = mixed * np.array([120, 80, 150]) + (1 - mixed) * np.array([220, 150, 190])
    slide[truth] = np.round(stain * (1 - pale) + slide[truth] * pale)
    return slide, truth


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(
    "slide",
    [
        np.full((300, 400, 3), 255, np.uint8),
        glass(),
        glass(sigma=4),
        glass(colour=(235, 231, 203), sigma=2),
        cv2.imdecode(
            cv2.imencode(".jpg", glass((600, 800), sigma=6), [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR
        ),
    ],
    ids=["white", "grey glass", "noise", "yellowish glass", "JPEG of quality 30"],
)
def test_an_empty_slide_has_no_tissue(slide: Image) -> None:
    assert not found(slide).any()


def test_dust_and_the_edge_of_a_cover_slip_are_not_tissue() -> None:
    slide, rng = glass(sigma=2), np.random.default_rng(0)
    for x, y, radius in zip(rng.integers(0, 400, 60), rng.integers(0, 300, 60), rng.integers(1, 5, 60), strict=True):
        cv2.circle(slide, (int(x), int(y)), int(radius), (90, 85, 80), -1)
    cv2.line(slide, (350, 0), (355, 300), (190, 190, 190), 2)

    assert not found(slide).any()


def test_uneven_light_is_not_tissue() -> None:
    y, x = np.mgrid[:300, :400]
    light = 1 - 0.08 * (((x - 200) / 250) ** 2 + ((y - 150) / 190) ** 2)

    assert not found(np.round(light[..., None] * np.array([245, 243, 238])).astype(np.uint8)).any()


@pytest.mark.parametrize("ink", INKS.values(), ids=INKS)
def test_pen_on_glass_is_not_tissue(ink: tuple[int, int, int]) -> None:
    slide = glass()
    cv2.polylines(slide, [np.array([[40, 20], [90, 150], [30, 280]])], False, ink, 16, cv2.LINE_AA)

    assert not found(slide).any()


@pytest.mark.parametrize("ink", INKS.values(), ids=INKS)
def test_pen_around_tissue_leaves_the_tissue(ink: tuple[int, int, int]) -> None:
    slide, truth = square_of_tissue()
    clean = found(slide)
    cv2.circle(slide, (180, 150), 75, ink, 14, cv2.LINE_AA)

    mask = found(slide)

    assert overlap(mask, clean) > 0.99
    assert mask[truth].all()


def test_pen_may_be_kept() -> None:
    slide = glass()
    slide[100:200, 100:200] = INKS["blue"]

    assert tissue_mask(slide, mpp=MPP, config=TissueConfig(exclude_pen=False))[150, 150]


@pytest.mark.parametrize("pale", [0.0, 0.5, 0.8])
def test_tissue_is_found_with_its_margin_however_pale(pale: float) -> None:
    slide, truth = square_of_tissue(pale=pale)

    mask = found(slide)

    assert mask[truth].all()
    assert overlap(mask, cv2.dilate(truth.astype(np.uint8), np.ones((13, 13))).astype(bool)) > 0.75


def test_black_borders_and_unscanned_white_change_nothing() -> None:
    slide, _ = square_of_tissue()
    clean = found(slide)
    framed = cv2.copyMakeBorder(slide, 30, 20, 25, 0, cv2.BORDER_CONSTANT, value=(4, 4, 4))
    framed = cv2.copyMakeBorder(framed, 0, 90, 0, 70, cv2.BORDER_CONSTANT, value=(255, 255, 255))

    mask = found(framed)

    assert np.array_equal(mask[30:330, 25:425], clean)
    assert mask.sum() == clean.sum()


def test_small_pieces_are_dropped_and_small_holes_filled() -> None:
    slide, _ = square_of_tissue(side=80)
    slide[20:30, 20:30] = slide[150, 180]
    slide[155:165, 185:195] = glass()[0, 0]

    mask = found(slide)

    assert not mask[:100].any()
    assert mask[120:200, 150:230].all()


def test_a_field_of_immunohistochemistry_is_tissue() -> None:
    assert found(shrunk(skimage.data.immunohistochemistry(), MPP / 0.5)).mean() > 0.95


def test_a_field_of_he_is_tissue() -> None:
    spec = importlib.util.find_spec("tiatoolbox")
    assert spec is not None
    assert spec.origin is not None

    assert found(field(Path(spec.origin).parent / "data" / "target_image.png")).mean() > 0.95


@pytest.mark.shared_data
def test_every_monuseg_field_is_tissue(shared_data: Path) -> None:
    files = sorted((shared_data / "monuseg" / "images").iterdir())

    assert {file.name: share for file in files if (share := found(field(file)).mean()) < 0.95} == {}
    assert len(files) == 37


@pytest.mark.shared_data
@pytest.mark.parametrize(("folder", "suffix"), [("bcdata/images", ".png"), ("shidc_ki67", ".jpg")])
def test_every_immunohistochemistry_field_is_tissue(shared_data: Path, folder: str, suffix: str) -> None:
    files = sorted(file for file in (shared_data / folder).rglob("*") if file.suffix == suffix)

    assert {file.name: share for file in files if (share := found(field(file)).mean()) < 0.95} == {}
    assert len(files) >= 10


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "mpp", "low", "high"),
    [
        ("CMU-1-Small-Region.svs", None, 0.40, 0.55),
        ("tcga-cr-7395-01a-01-ts1.svs", 0.5, 0.62, 0.76),
        ("camelyon_dicom_jpeg.dcm", 20, 0.20, 0.32),
        ("test3-DAPI-2-(387).ndpi", None, 0.0, 0.0),
    ],
)
def test_the_share_of_tissue_is_what_the_eye_sees(
    shared_data: Path, name: str, mpp: float | None, low: float, high: float
) -> None:
    with open_slide(shared_data / "slides" / name, mpp=mpp) as slide:
        small = slide.thumbnail(MPP)
        thumbnail_mpp = slide.mpp_l0 * small.downsample_l0

    assert low <= found(small.image, thumbnail_mpp).mean() <= high


@pytest.mark.shared_data
@pytest.mark.parametrize("pale", [0.5, 0.8])
def test_a_real_section_is_found_when_it_is_pale(shared_data: Path, pale: float) -> None:
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        thumbnail = slide.thumbnail(MPP).image

    mask = found(np.round(thumbnail * (1 - pale) + 255 * pale).astype(np.uint8))

    assert overlap(mask, found(thumbnail)) > 0.7


def test_a_block_of_six_by_three_pixels_has_the_area_eighteen() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:5, 4:10] = True

    polygons = tissue_polygons(mask, 1.0)

    assert [polygon.bounds for polygon in polygons] == [(4, 2, 10, 5)]
    assert polygons[0].area == 18


def test_outlines_are_level_0_pixels_with_one_decimal_and_keep_holes() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:18, 3:17] = True
    mask[8:12, 8:12] = False

    (polygon,) = tissue_polygons(mask, 16.033)

    assert polygon.bounds == (48.1, 32.1, 272.6, 288.6)
    assert [ring.bounds for ring in map(shapely.Polygon, polygon.interiors)] == [(128.3, 128.3, 192.4, 192.4)]


def test_a_mask_without_tissue_has_no_outline() -> None:
    assert tissue_polygons(np.zeros((4, 4), bool), 2.0) == []


@given(mask=arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))))
def test_outlines_of_any_mask_are_valid_and_stay_near_it(mask: Mask) -> None:
    polygons = tissue_polygons(mask, 16.0)

    # Squares of the pixels, an outline that does not go through OpenCV.
    y, x = np.nonzero(mask)
    squares = shapely.union_all(shapely.box(x * 16, y * 16, (x + 1) * 16, (y + 1) * 16))
    assert all(polygon.is_valid and polygon.area > 0 for polygon in polygons)
    outline = shapely.union_all(polygons)
    assert squares.buffer(-12.1).difference(outline).area < 1
    assert outline.difference(squares.buffer(12.1)).area < 1


def mirrored(field: Image, times: int) -> Image:
    row = np.concatenate([field[:, :: 1 - 2 * (i % 2)] for i in range(times)], axis=1)
    return np.concatenate([row[:: 1 - 2 * (i % 2)] for i in range(times)])


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["01_1", "01_4", "01_7", "03_3", "04_5"])
def test_pale_tissue_and_fat_are_found_on_a_large_picture(shared_data: Path, name: str) -> None:
    """Tissue of 1.3 mm a side without glass beside it, and on glass of the colour that fat cells have."""
    tissue = mirrored(field(shared_data / "tnbc" / "images" / f"{name}.png", mpp=0.25), 10)
    slide = glass((400, 400), sigma=0.5, colour=(233, 233, 238))
    slide[120:280, 120:280] = tissue

    mask = found(slide)

    assert found(tissue).mean() > 0.98
    assert mask[120:280, 120:280].mean() > 0.98
    assert mask.sum() < 1.2 * 160**2

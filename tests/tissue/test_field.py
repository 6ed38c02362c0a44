"""Fields of view: searched whole unless they plainly are glass, one colour or pen; an empty one says why."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from tests.helpers.slidegen import read_rgb
from wsipsm.config import TissueConfig
from wsipsm.core.geometry import Image
from wsipsm.slide import open_slide
from wsipsm.slide.sample import he_field
from wsipsm.tissue.find import Tissue, find_tissue

RNG = np.random.default_rng(0)


def searched(folder: Path, image: Image, *, mpp: float = 0.25, config: TissueConfig | None = None) -> Tissue:
    PillowImage.fromarray(image).save(folder / "field.png")
    with open_slide(folder / "field.png", mpp=mpp) as slide:
        return find_tissue(slide, config or TissueConfig())


def plain(colour: tuple[int, int, int], *, sigma: float = 4, side: int = 512) -> Image:
    return np.clip(RNG.normal(colour, sigma, (side, side, 3)), 0, 255).round().astype(np.uint8)


def stroke(colour: tuple[int, int, int], width: int) -> Image:
    field = plain((243, 242, 240))
    cv2.polylines(field, [np.array([[60, -20], [300, 280], [90, 540]])], False, colour, width, cv2.LINE_AA)
    return field


@pytest.mark.parametrize("side", [256, 512])
@pytest.mark.parametrize("pale", [0.0, 0.6])
def test_a_field_that_is_all_tissue_is_searched_whole(side: int, pale: float, tmp_path: Path) -> None:
    field = read_rgb(he_field())[:side, :side]
    field = np.round(field * (1 - pale) + 240 * pale).astype(np.uint8)

    found = searched(tmp_path, field)

    assert found.region.area_l0 == side**2
    assert found.why_empty == ""


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (np.full((512, 512, 3), 255, np.uint8), "glass all over"),
        (plain((243, 242, 240), sigma=12), "glass all over"),
        (plain((128, 128, 128), sigma=12), "one colour all over"),
        (plain((190, 190, 190)), "one colour all over"),
        (plain((12, 12, 12)), "100% of the picture is dark, as in fluorescence"),
        (plain((30, 60, 180)), "only pen"),
        (plain((20, 120, 60), sigma=12), "only pen"),
        (stroke((30, 60, 180), 40), "only pen"),
        (stroke((205, 25, 40), 120), "only pen"),
        (stroke((25, 25, 30), 300), "only pen"),
    ],
    ids=["white", "glass", "grey", "light grey", "dark", "blue", "green", "thin pen", "red pen", "black pen"],
)
def test_a_field_without_tissue_says_why(field: Image, reason: str, tmp_path: Path) -> None:
    found = searched(tmp_path, field)

    assert found.region.empty
    assert found.why_empty.startswith("no tissue: ")
    assert reason in found.why_empty
    assert "--roi" in found.why_empty


def test_broad_glass_in_a_field_is_left_out(tmp_path: Path) -> None:
    """A field of 0.9 mm on a side, its right half glass; in its left half a hole of 100 um stays in."""
    tissue = np.tile(read_rgb(he_field())[:900, :900], (4, 4, 1))
    tissue[1000:1400, 1000:1400] = 243
    tissue[:, 1800:] = 243

    found = searched(tmp_path, tissue)

    left, width = found.region.bounds_l0, 1800
    assert found.region.area_l0 == pytest.approx(3600 * (left.x1 - left.x0), rel=0.01)
    assert (left.x0, left.y0, left.y1) == (0, 0, 3600)
    assert width < left.x1 < width + 400


@pytest.mark.parametrize("side", [512, 600, 777])
def test_one_grey_is_no_tissue_whatever_the_size_of_the_picture(side: int, tmp_path: Path) -> None:
    found = searched(tmp_path, np.full((side, side, 3), 128, np.uint8))

    assert found.region.empty
    assert "one colour all over" in found.why_empty


def test_the_limit_of_a_field_is_a_key(tmp_path: Path) -> None:
    """A speck on glass is searched around in a field, and too small on a slide."""
    field = plain((243, 242, 240), side=2048)
    field[960:1080, 960:1080] = (150, 90, 140)

    assert not searched(tmp_path, field).region.empty
    slide = searched(tmp_path, field, config=TissueConfig(field_mm2=0))
    assert slide.region.empty
    assert "smaller than tissue.min_area_um2=20000" in slide.why_empty
    assert "--set tissue.min_area_um2=2000 " in slide.why_empty


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["tnbc", "cryonuseg", "monuseg"])
@pytest.mark.parametrize("middle", [False, True], ids=["whole", "middle"])
def test_the_labelled_nuclei_of_real_fields_are_searched(
    shared_data: Path, tmp_path: Path, name: str, middle: bool
) -> None:
    missed = {}
    for path in sorted((shared_data / name / "images").iterdir()):
        field, labels = read_rgb(path), np.array(PillowImage.open(shared_data / name / "labels" / f"{path.stem}.png"))
        if middle:
            y, x = (side // 2 - 128 for side in labels.shape)
            field, labels = field[y : y + 256, x : x + 256], labels[y : y + 256, x : x + 256]
        x, y = np.stack(np.nonzero(labels))[::-1, ::10]
        inside = searched(tmp_path, field).region.contains_l0(np.stack([x, y], axis=1) + 0.5)
        if not inside.mean() >= 0.99:
            missed[path.name] = float(inside.mean())

    assert missed == {}

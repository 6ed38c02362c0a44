"""Which micrometres per pixel are believed, and the working plane that follows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from wsipsm.core.errors import ResolutionError
from wsipsm.slide import open_slide
from wsipsm.slide.resolution import Claim, imagej_claim, ome_claim, per_unit, resolve

FLAT = np.full((40, 60, 3), 200, np.uint8)
HERE = Path("slide.svs")


def test_the_override_wins_over_every_claim() -> None:
    found = resolve(HERE, [Claim("aperio.MPP", 0.25, 0.25)], 28.97)

    assert (found.mpp, found.source) == (28.97, "override")


@pytest.mark.parametrize("override", [0.0, -0.5, math.nan, math.inf])
def test_an_override_that_is_no_size_is_refused(override: float) -> None:
    with pytest.raises(ResolutionError, match="positive"):
        resolve(HERE, [], override)


def test_the_first_claim_that_says_something_decides() -> None:
    claims = [Claim("ome.PhysicalSizeX", None, None), Claim("a", 0.5, 0.502), Claim("b", 1, 1)]

    found = resolve(HERE, claims, None)

    assert (found.mpp, found.source) == (pytest.approx(0.501), "a")


@pytest.mark.parametrize("value", [0.0, 0.0499, 20.1, 352.8, -1])
def test_a_value_outside_the_believable_range_is_named(value: float) -> None:
    with pytest.raises(ResolutionError, match=rf"aperio.MPP claims {value:.4g} um.*--slide-mpp"):
        resolve(HERE, [Claim("aperio.MPP", value, value), Claim("other", 0.5, 0.5)], None)


def test_pixels_that_are_not_square_are_refused() -> None:
    with pytest.raises(ResolutionError, match=r"0\.5 x 0\.25 um, not square"):
        resolve(HERE, [Claim("a", 0.5, 0.25)], None)


def test_nothing_claimed_says_how_to_give_it() -> None:
    with pytest.raises(ResolutionError, match=r"slide\.svs: .*--slide-mpp.*manifest"):
        resolve(HERE, [], None)


@pytest.mark.parametrize(
    ("claim", "x"),
    [
        (per_unit("t", 50_800, 50_800, "inch"), 0.5),
        (per_unit("t", 0, 0, "inch"), None),
        (per_unit("t", 40_000, 40_000, ""), None),
        (ome_claim('<Pixels ID="1" PhysicalSizeX="0.3" PhysicalSizeXUnit="µm" PhysicalSizeY="0.3"/>'), 0.3),
        (ome_claim('<ome:Pixels PhysicalSizeX="0.0005" PhysicalSizeXUnit="mm"/>'), 0.5),
        (ome_claim('<Pixels PhysicalSizeX="1" PhysicalSizeXUnit="pixel"/>'), None),
        (ome_claim("Aperio Image Library"), None),
        (imagej_claim("ImageJ=1.54\nunit=micron\nloop=false\n", 4, 4), 0.25),
        (imagej_claim("ImageJ=1.54\n", 4, 4), None),
    ],
)
def test_claims_are_converted_to_micrometres(claim: Claim, x: float | None) -> None:
    assert claim.x == (None if x is None else pytest.approx(x))


@pytest.mark.parametrize("dpi", [72, 96, 300, 600])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_print_resolutions_are_not_believed(tmp_path: Path, suffix: str, dpi: int) -> None:
    path = tmp_path / f"photo{suffix}"
    Pillow.fromarray(FLAT).save(path, dpi=(dpi, dpi))

    with pytest.raises(ResolutionError, match=rf"claims {25400 // dpi}\.\d+ um"):
        open_slide(path)


def test_a_plain_image_without_resolution_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Pillow.fromarray(FLAT).save(path)

    with pytest.raises(ResolutionError, match="no micrometres per pixel"):
        open_slide(path)


def test_plausible_tags_of_a_plain_tiff_are_believed(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, FLAT, photometric="rgb", resolution=(40_000, 40_000), resolutionunit="CENTIMETER")

    with open_slide(path) as slide:
        assert (slide.mpp_l0, slide.mpp_source, slide.reader) == (pytest.approx(0.25), "tiff.XResolution", "pillow")


def test_imagej_and_ome_units_of_a_plain_tiff_are_understood(tmp_path: Path) -> None:
    imagej, ome = tmp_path / "imagej.tif", tmp_path / "scan.ome.tif"
    tifffile.imwrite(imagej, FLAT[None], imagej=True, resolution=(2.0, 2.0), metadata={"unit": "um"})
    tifffile.imwrite(ome, FLAT, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3})

    with open_slide(imagej) as first, open_slide(ome) as second:
        assert (first.mpp_l0, first.mpp_source) == (pytest.approx(0.5), "imagej.unit")
        assert (second.mpp_l0, second.mpp_source) == (pytest.approx(0.3), "ome.PhysicalSizeX")


def test_generic_tiled_tiffs_are_read_by_openslide_with_the_same_policy(tmp_path: Path) -> None:
    believed, refused = tmp_path / "a.tiff", tmp_path / "b.tiff"
    common = {"photometric": "rgb", "tile": (64, 64), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(believed, FLAT, resolution=(20_000, 20_000), **common)
    tifffile.imwrite(refused, FLAT, resolution=(28.3464, 28.3464), **common)

    with open_slide(believed) as slide:
        assert (slide.mpp_l0, slide.mpp_source, slide.reader) == (pytest.approx(0.5), "tiff.XResolution", "openslide")
    with pytest.raises(ResolutionError, match=r"352\.8"):
        open_slide(refused)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Pillow.fromarray(FLAT).save(path)
    return path


@pytest.mark.parametrize(
    ("mpp_l0", "mpp", "downsample"),
    [
        (0.25, 0.5, 2),
        (0.2525, 0.5, 2),
        (0.499, 0.5, 1),
        (0.51, 0.5, 1),
        (0.228175, 0.5, 0.5 / 0.228175),
        (0.3, 0.5, 5 / 3),
    ],
)
def test_downsamples_near_a_whole_number_become_it(png: Path, mpp_l0: float, mpp: float, downsample: float) -> None:
    with open_slide(png, mpp=mpp_l0) as slide:
        grid = slide.grid(mpp)

    assert grid.downsample == pytest.approx(downsample)
    assert grid.mpp == pytest.approx(mpp_l0 * downsample)


@given(mpp_l0=st.floats(0.05, 20), mpp=st.floats(0.05, 20))
def test_a_grid_covers_the_slide_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, mpp_l0: float, mpp: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "covers.png"
    if not path.exists():
        Pillow.fromarray(FLAT).save(path)

    with open_slide(path, mpp=mpp_l0) as slide:
        try:
            grid = slide.grid(mpp)
        except ResolutionError:
            assert mpp < mpp_l0
            return

    assert grid.downsample >= 1
    assert grid.mpp == pytest.approx(mpp, rel=0.031)
    for size, size_l0 in ((grid.width, 60), (grid.height, 40)):
        assert (size - 1) * grid.downsample < size_l0 + 1e-3
        assert size * grid.downsample >= size_l0 - 1e-3


def test_a_slide_coarser_than_the_grid_is_refused_with_advice(png: Path) -> None:
    with open_slide(png, mpp=1.0) as slide, pytest.raises(ResolutionError, match="--mpp 1"):
        slide.grid(0.5)

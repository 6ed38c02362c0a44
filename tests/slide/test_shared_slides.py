"""Every real slide file of the shared data: what exactly is expected of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image as Pillow

from wsipsm.core.errors import PixelFormatError, ResolutionError, SlideError, UnreadableSlideError
from wsipsm.core.geometry import Box, Image
from wsipsm.slide import describe, open_slide

pytestmark = pytest.mark.shared_data

# file, reader, width, height, um per pixel, where found
READ_AS_THEY_ARE = [
    ("CMU-1-Small-Region.svs", "openslide", 2220, 2967, 0.499, "aperio.MPP"),
    ("test3-DAPI-2-(387).ndpi", "openslide", 3968, 4864, 0.228175, "openslide.mpp-x"),
    ("qupath_cells.ome.tif", "pillow", 93, 131, 0.25, "tiff.XResolution"),
]
READ_WITH_AN_OVERRIDE = [
    ("tcga-cr-7395-01a-01-ts1.svs", 4443, 3567, "no micrometres per pixel"),
    ("camelyon_dicom_jpeg.dcm", 1152, 700, "28.97"),
    ("openslide_boxes.tiff", 300, 250, "352.8"),
    ("small_HE_levels.tiff", 300, 250, "352.9"),
    ("yb10kx5k.zstd.tiff", 10_000, 5_000, "352.9"),
]
REFUSED = [
    ("small_vectra.qptiff", PixelFormatError, "6 pages.*expected 8-bit RGB"),
    ("multi-channel-z-series.ome.tif", PixelFormatError, "15 pages.*expected 8-bit RGB"),
    ("broken/openslide_unopenable.tiff", UnreadableSlideError, "52479.*OpenSlide cannot open it.*52479"),
    ("broken/openslide_unreadable.svs", UnreadableSlideError, r"level 0, pixels x 0\.\.16 y 0\.\.16.*Bogus marker"),
]


def read_all(path: Path, mpp: float | None = None) -> Image:
    with open_slide(path, mpp=mpp) as slide:
        grid = slide.grid(0.5)
        return slide.read(grid.box, grid)


def test_the_tables_name_every_file(shared_data: Path) -> None:
    folder = shared_data / "slides"
    files = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".geojson"
    }

    assert files == {row[0] for row in (*READ_AS_THEY_ARE, *READ_WITH_AN_OVERRIDE, *REFUSED)}


@pytest.mark.parametrize(("name", "reader", "width", "height", "mpp", "source"), READ_AS_THEY_ARE)
def test_slides_with_a_resolution_open(
    shared_data: Path, name: str, reader: str, width: int, height: int, mpp: float, source: str
) -> None:
    with open_slide(shared_data / "slides" / name) as slide:
        assert (slide.reader, slide.width_l0, slide.height_l0, slide.mpp_source) == (reader, width, height, source)
        assert slide.mpp_l0 == pytest.approx(mpp, abs=1e-6)


@pytest.mark.parametrize(("name", "width", "height", "complaint"), READ_WITH_AN_OVERRIDE)
def test_slides_without_a_believable_resolution_want_an_override(
    shared_data: Path, name: str, width: int, height: int, complaint: str
) -> None:
    path = shared_data / "slides" / name

    with pytest.raises(ResolutionError, match=f"{complaint}.*--slide-mpp"):
        open_slide(path)
    with open_slide(path, mpp=0.25) as slide:
        grid = slide.grid(0.5)
        assert (slide.width_l0, slide.height_l0, grid.downsample) == (width, height, 2.0)
        assert slide.read(Box(0, 0, 30, 20), grid).shape == (20, 30, 3)


@pytest.mark.parametrize("mpp", [None, 0.25])
@pytest.mark.parametrize(("name", "kind", "message"), REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(
    shared_data: Path, name: str, kind: type[SlideError], message: str, mpp: float | None
) -> None:
    with pytest.raises(kind, match=message) as caught:
        read_all(shared_data / "slides" / name, mpp)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [row[0] for row in (*READ_AS_THEY_ARE[:2], *READ_WITH_AN_OVERRIDE)])
def test_level_0_is_openslides_own_and_downsample_2_its_block_means(shared_data: Path, name: str) -> None:
    path = shared_data / "slides" / name
    box = Box(22, 16, 122, 106)
    raw = np.asarray(openslide.OpenSlide(str(path)).read_region((44, 32), 0, (200, 180)).convert("RGB")).astype(int)

    with open_slide(path, mpp=0.5) as slide:
        # Only levels of exactly half the size would be taken instead of level 0; grid 1.0 is then their business.
        halves = any(level.downsample == 2 for level in slide.levels)
        native = slide.read(Box(44, 32, 244, 212), slide.grid(0.5))
        half = slide.read(box, slide.grid(1.0))

    np.testing.assert_array_equal(native, raw)
    means = (raw.reshape(90, 2, 100, 2, 3).sum(axis=(1, 3)) + 2) // 4
    if halves:
        assert np.abs(half.astype(int) - means).mean() < 3
    else:
        np.testing.assert_array_equal(half, means)


def test_a_planar_ome_tiff_matches_tifffile(shared_data: Path) -> None:
    path = shared_data / "slides" / "qupath_cells.ome.tif"

    with open_slide(path) as slide:
        grid = slide.grid(0.25)
        out = slide.read(grid.box, grid)

    decoded = np.moveaxis(tifffile.imread(path), 0, -1)
    np.testing.assert_array_equal(out, decoded)


def test_the_whole_slide_is_the_same_by_tiles_and_at_once(shared_data: Path) -> None:
    with open_slide(shared_data / "slides" / "test3-DAPI-2-(387).ndpi") as slide:
        grid = slide.grid(0.5)
        at_once = slide.read(grid.box, grid)
        tiles = np.zeros_like(at_once)
        for y in range(0, grid.height, 700):
            for x in range(0, grid.width, 500):
                box = Box(x, y, x + 500, y + 700).intersect(grid.box)
                tiles[box.slices] = slide.read(box, grid)

    assert grid.downsample == pytest.approx(0.5 / 0.22817506, abs=1e-5)
    np.testing.assert_array_equal(tiles, at_once)


def test_a_thumbnail_shows_the_whole_plane(shared_data: Path) -> None:
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    whole = openslide.OpenSlide(str(path)).read_region((0, 0), 0, (2220, 2967)).convert("RGB")

    with open_slide(path) as slide:
        small = slide.thumbnail(8.0)
        image, downsample = small.image, small.downsample_l0

    assert not small.damaged_l0
    assert downsample == pytest.approx(8 / 0.499)
    assert image.shape == (186, 139, 3)
    pixel = (60, 100)
    corners = [pixel[0] * downsample, pixel[1] * downsample, (pixel[0] + 1) * downsample, (pixel[1] + 1) * downsample]
    expected = whole.resize((1, 1), Pillow.Resampling.BOX, box=corners).getpixel((0, 0))
    assert np.abs(image[pixel[1], pixel[0]].astype(int) - expected).max() <= 1


def test_a_truncated_slide_gives_one_clear_error(tmp_path: Path, shared_data: Path) -> None:
    content = (shared_data / "slides" / "CMU-1-Small-Region.svs").read_bytes()
    path = tmp_path / "cut.svs"
    path.write_bytes(content[: len(content) * 6 // 10])

    with pytest.raises(UnreadableSlideError, match=r"cut\.svs: ") as caught:
        read_all(path)

    assert "\n" not in str(caught.value)


def test_a_description_of_an_aperio_slide(shared_data: Path) -> None:
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        table = describe(slide)

    assert (table["vendor"], table["objective_power"], table["size_mm"]) == ("aperio", 20.0, [1.1078, 1.4805])
    assert table["associated"] == {"label": [387, 463], "macro": [1280, 431], "thumbnail": [574, 768]}


@pytest.mark.slow
def test_no_file_makes_noise(shared_data: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from wsipsm.slide import open_slide; from wsipsm.core.errors import SlideError\n"
        "for path in sorted(Path(sys.argv[1]).rglob('*.*')):\n"
        "    try:\n"
        "        slide = open_slide(path, mpp=0.25); slide.thumbnail(8)\n"
        "    except SlideError: pass\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(shared_data / "slides")], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

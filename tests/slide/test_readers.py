"""Which reader opens what, and that the pixels are those that tifffile wrote."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from tests.helpers.slide_files import HALF_UM, noise, write_ngff, write_pyramid, write_two_series
from wsipsm.core.geometry import Box, Image
from wsipsm.slide import Level, describe, open_slide
from wsipsm.slide.readers.openslide import bounds_of


@pytest.mark.parametrize("downsample", [1, 2])
def test_openslide_pixels_are_those_of_the_file(tmp_path: Path, downsample: int) -> None:
    image = noise(130, 200)
    path = write_pyramid(tmp_path / "slide.tiff", [image])

    with open_slide(path) as slide:
        out = slide.read(Box(0, 0, 200 // downsample, 130 // downsample), slide.grid(0.5 * downsample))

    n = downsample
    sums = image.astype(int).reshape(130 // n, n, 200 // n, n, 3).sum(axis=(1, 3))
    assert slide.reader == "openslide"
    np.testing.assert_array_equal(out, (sums + n * n // 2) // (n * n))


def test_a_whole_level_serves_tiles_and_a_fractional_one_does_not(tmp_path: Path) -> None:
    exact, drifting = noise(60, 100, 1), noise(59, 99, 2)
    base = noise(120, 200)
    with (
        open_slide(write_pyramid(tmp_path / "exact.tiff", [base, exact])) as whole,
        open_slide(write_pyramid(tmp_path / "drift.tiff", [base, drifting])) as fractional,
    ):
        from_level_1 = whole.read(Box(10, 5, 40, 30), whole.grid(1.0))
        from_level_0 = fractional.read(Box(10, 5, 40, 30), fractional.grid(1.0))

    assert [level.downsample for level in whole.levels] == [1, 2]
    np.testing.assert_array_equal(from_level_1, exact[5:30, 10:40])
    means = base.astype(int).reshape(60, 2, 100, 2, 3).sum(axis=(1, 3))
    np.testing.assert_array_equal(from_level_0, (means[5:30, 10:40] + 2) // 4)


@pytest.mark.parametrize(
    "box",
    [
        Box(3, 2, 9, 8),
        Box(-4, -3, 30, 5),
        Box(-20, -12, 41, 25),
        Box(18, 3, 25, 9),
        Box(15, 10, 90, 80),
        Box(30, 2, 40, 9),
        Box(-50, -50, 60, 60),
    ],
)
def test_beyond_its_edges_a_slide_is_mirrored(tmp_path: Path, box: Box) -> None:
    image = noise(13, 21)
    with open_slide(write_pyramid(tmp_path / "slide.tiff", [image])) as slide:
        out = slide.read_mirrored(box, slide.grid(0.5))
        white = slide.read(Box(-1, -1, 1, 1), slide.grid(0.5))

    around = np.pad(image, [(100, 100), (100, 100), (0, 0)], mode="reflect")
    np.testing.assert_array_equal(out, around[box.y0 + 100 : box.y1 + 100, box.x0 + 100 : box.x1 + 100])
    assert (white[0] == 255).all()


def test_a_compressed_tile_that_was_not_scanned_is_white(tmp_path: Path) -> None:
    image = noise(256, 256)
    with tifffile.TiffWriter(tmp_path / "sparse.tiff") as tiff:
        tiff.write(
            iter([image, None]),
            shape=(256, 512, 3),
            dtype=np.uint8,
            tile=(256, 256),
            photometric="rgb",
            compression="zlib",
        )

    with open_slide(tmp_path / "sparse.tiff", mpp=0.5) as slide:
        out = slide.read(Box(100, 0, 512, 256), slide.grid(0.5))

    assert slide.reader == "openslide"
    np.testing.assert_array_equal(out[:, :156], image[:, 100:])
    assert (out[:, 156:] == 255).all()


def test_a_grid_finer_than_level_1_is_read_from_level_0(tmp_path: Path) -> None:
    base, wrong = noise(120, 200), np.zeros((60, 100, 3), np.uint8)
    with open_slide(write_pyramid(tmp_path / "slide.tiff", [base, wrong])) as slide:
        out = slide.read(Box(0, 0, 200, 120), slide.grid(0.5))

    np.testing.assert_array_equal(out, base)


def test_a_thumbnail_uses_the_coarsest_fitting_level_and_says_its_exact_scale(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 250, 200).astype(np.uint8)[None, :, None], (120, 200, 3))
    drifting = np.asarray(Pillow.fromarray(np.ascontiguousarray(ramp)).resize((99, 59), Pillow.Resampling.BOX))
    with open_slide(write_pyramid(tmp_path / "slide.tiff", [np.ascontiguousarray(ramp), drifting])) as slide:
        small, finest = slide.thumbnail(4.0), slide.thumbnail(0.01)

    image = small.image
    assert (small.downsample_l0, image.shape, finest.downsample_l0) == (8.0, (15, 25, 3), 1.0)
    means = ramp.astype(float).reshape(15, 8, 25, 8, 3).mean(axis=(1, 3))
    assert np.abs(image - means)[:-1, :-1].max() < 2  # the last row and column lie half beyond the drifting level
    np.testing.assert_array_equal(finest.image, ramp)


@pytest.mark.parametrize("shown", [Box(37, 21, 90, 80), Box(-9, -9, 30, 500), Box(500, 500, 600, 600)])
@pytest.mark.parametrize("downsample", [1, 4, 6.7])
def test_a_thumbnail_of_a_part_is_that_part_of_the_whole(tmp_path: Path, shown: Box, downsample: float) -> None:
    with open_slide(write_pyramid(tmp_path / "slide.tiff", [noise(120, 200), noise(60, 100)])) as slide:
        part, whole = (slide.thumbnail(0.5 * downsample, shown_l0=box).image for box in (shown, None))

    assert part.shape == whole.shape
    inside = np.zeros(part.shape[:2], bool)
    x0, y0 = (max(0, int(side / downsample)) for side in (shown.x0, shown.y0))
    inside[y0 : int(np.ceil(shown.y1 / downsample)), x0 : int(np.ceil(shown.x1 / downsample))] = True
    np.testing.assert_array_equal(part[inside], whole[inside])
    assert (part[~inside] == 255).all()


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_palettes_and_transparency_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.png"
    image = Pillow.new("RGBA", (9, 7), (200, 10, 30, 255))
    image.putpixel((0, 0), (1, 2, 3, 0) if mode == "RGBA" else (200, 10, 30, 255))
    (image if mode == "RGBA" else image.convert("RGB").convert("P", palette=Pillow.Palette.ADAPTIVE)).save(path)

    with open_slide(path, mpp=0.5) as slide:
        out = slide.read(Box(0, 0, 9, 7), slide.grid(0.5))

    assert out[0, 0].tolist() == ([255, 255, 255] if mode == "RGBA" else [200, 10, 30])
    assert (out[1:] == [200, 10, 30]).all()


@pytest.mark.parametrize(
    ("kind", "reader"),
    [
        ("ngff", ("ome-zarr", "ome-zarr.scale")),
        ("two series", ("tifffile", "ome.PhysicalSizeX")),
        ("jpeg xl", ("tifffile", "tiff.XResolution")),
    ],
)
def test_what_only_array_libraries_know_is_read_to_the_byte(tmp_path: Path, kind: str, reader: tuple[str, str]) -> None:
    image = noise(300, 401)
    if kind == "ngff":
        path = write_ngff(tmp_path / "slide.zarr", image, 0.5)
    elif kind == "two series":
        path = write_two_series(tmp_path / "slide.ome.tif", image)
    else:
        path = tmp_path / "slide.tif"
        lossless = {"compression": "jpegxl", "compressionargs": {"lossless": True}}
        tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), **lossless, **HALF_UM)

    with open_slide(path) as slide:
        inside = slide.read(Box(37, 41, 99, 87), slide.grid(0.5))
        beyond = slide.read(Box(390, 290, 410, 310), slide.grid(0.5))

    assert ((slide.reader, slide.mpp_source), slide.mpp_l0) == (reader, pytest.approx(0.5))
    np.testing.assert_array_equal(inside, image[41:87, 37:99])
    np.testing.assert_array_equal(beyond[:10, :11], image[290:, 390:])
    assert (beyond[10:] == 255).all()
    assert (beyond[:, 11:] == 255).all()


def test_reading_through_zarr_leaves_logging_and_stderr_alone(tmp_path: Path) -> None:
    path = write_ngff(tmp_path / "slide.zarr", noise(40, 50), 0.5)
    script = (
        "import logging, sys, warnings; show = warnings.showwarning\n"
        "from wsipsm.slide import open_slide\n"
        "assert not {'tiatoolbox', 'torch', 'matplotlib'} & set(sys.modules)\n"
        f"s = open_slide({str(path)!r}); g = s.grid(0.5); s.read(g.box, g); s.close()\n"
        "root = logging.getLogger()\n"
        "assert (root.handlers, root.filters, root.level) == ([], [], logging.WARNING)\n"
        "assert warnings.showwarning is show\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def write_slide_for(kind: str, folder: Path, image: Image) -> Path:
    """A file that the reader of this name opens."""
    if kind == "openslide":
        return write_pyramid(folder / "slide.tiff", [image])
    if kind == "tifffile":
        return write_two_series(folder / "slide.ome.tif", image)
    if kind == "ome-zarr":
        return write_ngff(folder / "slide.zarr", image, 0.5)
    Pillow.fromarray(image).save(folder / "image.png")
    return folder / "image.png"


@pytest.mark.parametrize("kind", ["openslide", "pillow", "tifffile", "ome-zarr"])
def test_a_pickled_slide_reopens_itself_with_its_override(tmp_path: Path, kind: str) -> None:
    image = noise(64, 80)
    path = write_slide_for(kind, tmp_path, image)

    with open_slide(path, mpp=0.33) as slide, pickle.loads(pickle.dumps(slide)) as other:
        grid = other.grid(0.33)
        assert (slide.reader, other.mpp_l0, other.mpp_source) == (kind, 0.33, "override")
        np.testing.assert_array_equal(other.read(grid.box, grid), image)


@pytest.mark.parametrize("kind", ["openslide", "pillow", "tifffile", "ome-zarr"])
def test_a_closed_slide_says_so_and_closes_twice(tmp_path: Path, kind: str) -> None:
    slide = open_slide(write_slide_for(kind, tmp_path, noise(64, 80)), mpp=0.5)
    slide.close()
    slide.close()

    with pytest.raises(ValueError, match="closed"):
        slide.read(Box(0, 0, 5, 5), slide.grid(0.5))


def test_bounds_want_all_four_properties() -> None:
    properties = {f"openslide.bounds-{k}": v for k, v in {"x": "10", "y": "20", "width": "300", "height": "40"}.items()}

    assert bounds_of(properties) == Box(10, 20, 310, 60)
    for missing in properties:
        assert bounds_of({key: value for key, value in properties.items() if key != missing}) is None


def test_threads_read_the_same_pixels(tmp_path: Path) -> None:
    image = noise(512, 512)
    wrong: list[int] = []
    with open_slide(write_pyramid(tmp_path / "slide.tiff", [image])) as slide:
        grid = slide.grid(0.5)

        def read(seed: int) -> None:
            for x, y in np.random.default_rng(seed).integers(0, 400, (20, 2)).tolist():
                if not np.array_equal(slide.read(Box(x, y, x + 100, y + 100), grid), image[y : y + 100, x : x + 100]):
                    wrong.append(seed)

        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert wrong == []


def test_a_fingerprint_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    Pillow.fromarray(noise(40, 50)).save(first)
    copy.write_bytes(first.read_bytes())
    changed = bytearray(first.read_bytes())
    changed[-20] ^= 1
    other.write_bytes(changed)
    ngff = write_ngff(tmp_path / "slide.zarr", noise(40, 50), 0.5)

    prints = []
    for path in (first, copy, other, ngff):
        with open_slide(path, mpp=0.5) as slide:
            prints.append(slide.fingerprint())

    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert all(len(text) == 64 for text in prints)


def test_a_description_is_ready_for_json(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "slide.tiff", [noise(120, 200), noise(60, 100)])

    with open_slide(path) as slide:
        table = describe(slide)
        assert slide.levels == (Level(200, 120, 1.0), Level(100, 60, 2.0))

    assert json.loads(json.dumps(table)) == table
    assert (table["reader"], table["vendor"], table["mpp_source"]) == ("openslide", "generic-tiff", "tiff.XResolution")
    assert table["size_mm"] == [0.1, 0.06]
    assert table["levels"][1] == {"width": 100, "height": 60, "downsample": 2.0}
    assert (table["objective_power"], table["bounds_l0"], table["associated"]) == (None, None, {})

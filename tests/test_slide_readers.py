"""Which reader opens what, and that the pixels are those that tifffile wrote."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Pillow

from wsipsm.errors import InputError, PixelFormatError, UnreadableSlideError
from wsipsm.geometry import Box, Image
from wsipsm.slide import Level, describe, open_slide
from wsipsm.slide.openslide_reader import bounds_of

HALF_UM = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_pyramid(path: Path, levels: list[Image]) -> Path:
    """Tiled lossless TIFF that OpenSlide reads as generic-tiff."""
    with tifffile.TiffWriter(path) as tiff:
        for i, level in enumerate(levels):
            tiff.write(level, photometric="rgb", tile=(64, 64), subfiletype=int(i > 0), metadata=None, **HALF_UM)
    return path


def write_ngff(path: Path, image: Image, mpp: float) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("0", shape=image.shape, chunks=(128, 128, image.shape[2]), dtype="u1")
    array[:] = image
    space = {"type": "space", "unit": "micrometer"}
    scale = [{"type": "scale", "scale": [mpp, mpp, 1.0]}]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "name": "image",
            "axes": [{"name": "y", **space}, {"name": "x", **space}, {"name": "c", "type": "channel"}],
            "datasets": [{"path": "0", "coordinateTransformations": scale}],
        }
    ]
    group.attrs["omero"] = {"id": 1, "name": "image", "channels": [], "rdefs": {"model": "color"}, "version": "0.4"}
    return path


def write_two_series(path: Path, image: Image) -> Path:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for series in (image[:50, :60], image):
            tiff.write(series, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    return path


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


def test_a_grid_finer_than_level_1_is_read_from_level_0(tmp_path: Path) -> None:
    base, wrong = noise(120, 200), np.zeros((60, 100, 3), np.uint8)
    with open_slide(write_pyramid(tmp_path / "slide.tiff", [base, wrong])) as slide:
        out = slide.read(Box(0, 0, 200, 120), slide.grid(0.5))

    np.testing.assert_array_equal(out, base)


def test_a_thumbnail_uses_the_coarsest_fitting_level_and_says_its_exact_scale(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(0, 250, 200).astype(np.uint8)[None, :, None], (120, 200, 3))
    drifting = np.asarray(Pillow.fromarray(np.ascontiguousarray(ramp)).resize((99, 59), Pillow.Resampling.BOX))
    with open_slide(write_pyramid(tmp_path / "slide.tiff", [np.ascontiguousarray(ramp), drifting])) as slide:
        image, downsample = slide.thumbnail(4.0)
        finest, one = slide.thumbnail(0.01)

    assert (downsample, image.shape, one) == (8.0, (15, 25, 3), 1.0)
    means = ramp.astype(float).reshape(15, 8, 25, 8, 3).mean(axis=(1, 3))
    assert np.abs(image - means)[:-1, :-1].max() < 2  # the last row and column lie half beyond the drifting level
    np.testing.assert_array_equal(finest, ramp)


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


@pytest.mark.parametrize("kind", ["ngff", "two series", "jpeg xl"])
def test_what_only_tiatoolbox_knows_is_read_to_the_byte(tmp_path: Path, kind: str) -> None:
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

    assert (slide.reader, slide.mpp_l0, slide.mpp_source) == ("tiatoolbox", pytest.approx(0.5), "tiatoolbox.mpp")
    np.testing.assert_array_equal(inside, image[41:87, 37:99])
    np.testing.assert_array_equal(beyond[:10, :11], image[290:, 390:])
    assert (beyond[10:] == 255).all()
    assert (beyond[:, 11:] == 255).all()


def test_reading_through_tiatoolbox_leaves_logging_and_stderr_alone(tmp_path: Path) -> None:
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


def make_bad(folder: Path, kind: str) -> Path:
    """Write one unusable file and return its path."""
    path = folder / "bad.tif"
    image = noise(64, 64)
    if kind == "grey":
        tifffile.imwrite(path, image[..., 0])
    elif kind == "tiled grey":
        tifffile.imwrite(path, image[..., 0], tile=(16, 16), **HALF_UM)
    elif kind == "16 bits":
        tifffile.imwrite(path, image.astype(np.uint16), photometric="rgb")
    elif kind == "tiled 16 bits":
        tifffile.imwrite(path, image.astype(np.uint16), photometric="rgb", tile=(16, 16), **HALF_UM)
    elif kind == "cmyk":
        Pillow.fromarray(image).convert("CMYK").save(path)
    elif kind == "grey jpeg":
        path = folder / "bad.jpg"
        Pillow.fromarray(image[..., 0]).save(path)
    elif kind == "stack":
        tifffile.imwrite(path, np.stack([image, image]), photometric="rgb")
    return path


@pytest.mark.parametrize("kind", ["grey", "tiled grey", "16 bits", "tiled 16 bits", "cmyk", "grey jpeg"])
def test_pixels_that_are_not_8_bit_colour_are_refused(tmp_path: Path, kind: str) -> None:
    path = make_bad(tmp_path, kind)

    with pytest.raises(PixelFormatError, match="expected 8-bit RGB") as caught:
        open_slide(path, mpp=0.5)

    assert str(caught.value).startswith(f"{path}: ")


def test_a_stack_of_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlideError, match="too many pages"):
        open_slide(make_bad(tmp_path, "stack"), mpp=0.5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.svs", b"", "is empty"),
        ("text.ndpi", b"this is not a slide\n", "not a slide"),
        ("text.png", b"\x89PNG\r\n\x1a\n", "not a slide"),
        ("header.tif", b"II*\0\x08\0\0\0", "cannot open"),
        ("gif.png", b"GIF89a\x01\0\x01\0\0\0\0;", "not a slide"),
        ("folder.svs", None, "is a folder"),
        ("folder.zarr", None, "cannot open"),
    ],
)
def test_what_is_no_slide_gives_one_clear_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(UnreadableSlideError, match=message) as caught:
        open_slide(path, mpp=0.5)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.svs: no such file"):
        open_slide(tmp_path / "none.svs")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_truncated_image_opens_or_not_and_never_gives_pixels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    Pillow.fromarray(noise(300, 300)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(UnreadableSlideError, match="cut"), open_slide(path, mpp=0.5) as slide:
        slide.read(Box(0, 0, 300, 300), slide.grid(0.5))


def test_a_plain_image_beyond_memory_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    header = b"IHDR" + struct.pack(">IIBBBBB", 2_000_000, 2_000_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 8) + b"IDAT" + bytes(12))

    with pytest.raises(UnreadableSlideError, match=r"huge\.png: .*needs 28000\.0 GB of memory"):
        open_slide(path, mpp=0.5)


def test_a_damaged_tile_fails_alone_and_the_slide_reads_on(tmp_path: Path) -> None:
    image = noise(128, 128)
    path = tmp_path / "slide.tiff"
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib", metadata=None, **HALF_UM)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[3]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 200)

    with open_slide(path) as slide:
        grid = slide.grid(0.5)
        with pytest.raises(UnreadableSlideError, match=r"slide\.tiff: level 0, pixels x 60\.\.80 y 70\.\.90"):
            slide.read(Box(60, 70, 80, 90), grid)
        after = slide.read(Box(0, 0, 64, 64), grid)

    np.testing.assert_array_equal(after, image[:64, :64])


@pytest.mark.parametrize("kind", ["openslide", "pillow", "tiatoolbox"])
def test_a_pickled_slide_reopens_itself_with_its_override(tmp_path: Path, kind: str) -> None:
    image = noise(64, 80)
    path = tmp_path / "image.png"
    Pillow.fromarray(image).save(path)
    if kind == "openslide":
        path = write_pyramid(tmp_path / "slide.tiff", [image])
    elif kind == "tiatoolbox":
        path = write_ngff(tmp_path / "slide.zarr", image, 0.5)

    with open_slide(path, mpp=0.33) as slide, pickle.loads(pickle.dumps(slide)) as other:
        grid = other.grid(0.33)
        assert (slide.reader, other.mpp_l0, other.mpp_source) == (kind, 0.33, "override")
        np.testing.assert_array_equal(other.read(grid.box, grid), image)


@pytest.mark.parametrize("kind", ["openslide", "pillow", "tiatoolbox"])
def test_a_closed_slide_says_so_and_closes_twice(tmp_path: Path, kind: str) -> None:
    image = noise(64, 80)
    path = tmp_path / "image.png"
    Pillow.fromarray(image).save(path)
    if kind == "openslide":
        path = write_pyramid(tmp_path / "slide.tiff", [image])
    elif kind == "tiatoolbox":
        path = write_ngff(tmp_path / "slide.zarr", image, 0.5)
    slide = open_slide(path, mpp=0.5)
    slide.close()
    slide.close()

    with pytest.raises(ValueError, match="closed"):
        slide.read(Box(0, 0, 5, 5), slide.grid(0.5))


def test_an_ngff_of_other_channels_is_refused(tmp_path: Path) -> None:
    five = np.concatenate([noise(40, 50), noise(40, 50)[..., :2]], axis=-1)

    with pytest.raises(PixelFormatError, match="5 channels of uint8; expected 8-bit RGB"):
        open_slide(write_ngff(tmp_path / "slide.zarr", five, 0.5))


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

"""TIFF and OME-Zarr as other programs write them: the pixels are those of the colour image, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Pillow

from tests.helpers.slide_files import HALF_UM, TURNS, blocks, noise, write_ome_zarr
from wsipsm.core.errors import PixelFormatError, UnreadableSlideError
from wsipsm.core.geometry import Box, Image
from wsipsm.slide import fingerprint_of, open_slide

HEIGHT, WIDTH = 200, 301
PHYSICAL = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "um", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "um"}
TILED = {"tile": (64, 64), "compression": "zlib"}


def whole(path: Path, mpp: float | None = None) -> Image:
    with open_slide(path, mpp=mpp) as slide:
        grid = slide.grid(slide.mpp_l0)
        return slide.read(grid.box, grid)


def test_the_largest_image_is_the_slide_and_its_own_resolution_counts(tmp_path: Path) -> None:
    image = noise(HEIGHT, WIDTH)
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        macro = {"axes": "YXS", "Name": "macro", "PhysicalSizeX": 9.0, "PhysicalSizeY": 9.0}
        tiff.write(noise(60, 80, 1), photometric="rgb", metadata=macro, **TILED)
        tiff.write(image, photometric="rgb", metadata={"axes": "YXS", "Name": "slide", **PHYSICAL}, **TILED)

    with open_slide(path) as slide:
        assert (slide.reader, slide.mpp_l0, slide.mpp_source) == ("tifffile", 0.5, "ome.PhysicalSizeX")
        assert slide.properties["tiff.image-0"] == "macro: (60, 80, 3)"
    np.testing.assert_array_equal(whole(path), image)


@pytest.mark.parametrize(
    "channels",
    [{"Name": ["R", "G", "B"]}, {"Name": ["blue", "red", "green"]}, {"Color": [-16776961, 16711935, 65535]}],
    ids=["named", "in another order", "coloured"],
)
def test_channels_as_pages_are_red_green_and_blue_where_ome_xml_says_so(
    tmp_path: Path, channels: dict[str, Any]
) -> None:
    image = noise(HEIGHT, WIDTH)
    order = [2, 0, 1] if channels.get("Name", [""])[0] == "blue" else [0, 1, 2]
    planes = [np.ascontiguousarray(np.moveaxis(blocks(image, n), 2, 0)[order]) for n in (1, 2, 4)]
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        described = {"axes": "CYX", "Channel": channels, **PHYSICAL}
        tiff.write(planes[0], subifds=2, photometric="minisblack", metadata=described, **TILED)
        for level in planes[1:]:
            tiff.write(level, subfiletype=1, photometric="minisblack", **TILED)

    with open_slide(path) as slide:
        assert [(level.width, level.height) for level in slide.levels] == [(301, 200), (151, 100), (76, 50)]
    np.testing.assert_array_equal(whole(path), image)


def test_channels_as_pages_without_such_names_are_refused(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(np.moveaxis(noise(HEIGHT, WIDTH), 2, 0))
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CK", "CD3"]}, **PHYSICAL}
    tifffile.imwrite(tmp_path / "if.ome.tif", planes, photometric="minisblack", metadata=metadata, **TILED)

    with pytest.raises(PixelFormatError, match="expected 8-bit RGB"):
        open_slide(tmp_path / "if.ome.tif")


def test_the_colour_thumbnail_of_a_fluorescence_slide_is_not_the_slide(tmp_path: Path) -> None:
    path = tmp_path / "if.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(noise(60, 80), photometric="rgb", metadata={"axes": "YXS", **PHYSICAL}, **TILED)
        tiff.write(noise(HEIGHT, WIDTH)[..., 0], photometric="minisblack", metadata={"axes": "YX", **PHYSICAL}, **TILED)

    with pytest.raises(PixelFormatError, match="holds 3 channels of uint8, 1 channel of uint8; expected 8-bit RGB"):
        open_slide(path, mpp=0.5)


def test_an_image_followed_by_its_mask_is_read(tmp_path: Path) -> None:
    image = noise(HEIGHT, WIDTH)
    path = tmp_path / "slide.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(image, photometric="rgb", metadata={"axes": "YXS", **PHYSICAL}, **TILED)
        tiff.write(image[..., 0], photometric="minisblack", metadata={"axes": "YX", **PHYSICAL}, **TILED)

    np.testing.assert_array_equal(whole(path), image)


def test_levels_in_subifds_are_used(tmp_path: Path) -> None:
    image = noise(HEIGHT, WIDTH)
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image, subifds=1, photometric="rgb", **TILED, **HALF_UM)
        tiff.write(noise(50, 75, 3), subfiletype=1, photometric="rgb", **TILED)

    with open_slide(path) as slide:
        small = slide.thumbnail(2.1)
        assert [level.width for level in slide.levels] == [301, 75]
    assert small.image.shape == (48, 72, 3)
    np.testing.assert_array_equal(whole(path), image)


def test_a_large_single_level_gives_the_pixels_that_openslide_gives(tmp_path: Path) -> None:
    from wsipsm.slide.readers.openslide import OpenSlideSlide

    image = np.full((8200, 8200, 3), 240, np.uint8)
    image[4000:4200, 4000:4301] = noise(HEIGHT, WIDTH)
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, image, photometric="rgb", tile=(512, 512), compression="zlib", **HALF_UM)

    with open_slide(path) as slide, OpenSlideSlide(path) as other:
        assert slide.reader == "tifffile"
        np.testing.assert_array_equal(slide.thumbnail(16.0).image, other.thumbnail(16.0).image)


@pytest.mark.parametrize(("extra", "is_alpha"), [("unspecified", False), ("unassalpha", True)])
def test_a_fourth_sample_is_alpha_only_where_the_file_says_so(tmp_path: Path, extra: str, is_alpha: bool) -> None:
    image = noise(HEIGHT, WIDTH)
    path = tmp_path / "slide.tif"
    four = np.dstack([image, np.zeros(image.shape[:2], np.uint8)])
    tifffile.imwrite(path, four, photometric="rgb", extrasamples=[extra], **TILED, **HALF_UM)

    np.testing.assert_array_equal(whole(path), np.full_like(image, 255) if is_alpha else image)


@pytest.mark.parametrize("tile", [(16, 16), (240, 240), (80, 272)])
def test_tiles_that_openslide_cannot_read_are_read(tmp_path: Path, tile: tuple[int, int]) -> None:
    image = noise(HEIGHT, WIDTH)
    tifffile.imwrite(tmp_path / "slide.tif", image, photometric="rgb", tile=tile, **HALF_UM)

    np.testing.assert_array_equal(whole(tmp_path / "slide.tif"), image)


def test_jpeg_tiles_that_are_rgb_and_not_ycbcr_are_read(tmp_path: Path) -> None:
    image = np.asarray(Pillow.fromarray(noise(20, 30)).resize((WIDTH, HEIGHT), Pillow.Resampling.BICUBIC))
    options = {"compression": "jpeg", "compressionargs": {"level": 95, "outcolorspace": "rgb"}, "tile": (64, 64)}
    tifffile.imwrite(tmp_path / "slide.tif", image, photometric="rgb", **options, **HALF_UM)

    assert np.abs(whole(tmp_path / "slide.tif").astype(int) - image).mean() < 2


def test_an_image_to_be_shown_turned_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(
        path, noise(HEIGHT, WIDTH), photometric="rgb", extratags=[(274, "H", 1, 6, True)], **TILED, **HALF_UM
    )

    with pytest.raises(PixelFormatError, match="Orientation 6"):
        open_slide(path)


@pytest.mark.parametrize("name", ["slide.mrxs", "slide.svs", "slide.ndpi"])
def test_a_thumbnail_named_like_a_slide_is_refused(tmp_path: Path, name: str) -> None:
    Pillow.fromarray(noise(90, 120)).save(tmp_path / name, "JPEG")

    with pytest.raises(UnreadableSlideError, match=r"Slidedat\.ini is missing" if "mrxs" in name else "only a plain"):
        open_slide(tmp_path / name, mpp=0.25)


@pytest.mark.parametrize(("bits", "factor"), [(12, 4095 / 255), (16, 257)])
def test_png_of_12_bits_in_16_has_the_brightness_of_8(tmp_path: Path, bits: int, factor: float) -> None:
    image = noise(HEIGHT, WIDTH)
    values = np.round(image * float(factor)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(values))
    (tmp_path / "b.png").write_bytes(imagecodecs.png_encode(np.dstack([values, np.full(image.shape[:2], 65535, "u2")])))

    for name in ("a.png", "b.png"):
        np.testing.assert_array_equal(whole(tmp_path / name, 0.5), image, err_msg=f"{bits} bits")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", TURNS)
def test_ome_zarr_of_any_axis_order_and_version(tmp_path: Path, version: str, axes: str) -> None:
    image = noise(HEIGHT, WIDTH)
    path = tmp_path / "slide.zarr"
    write_ome_zarr(zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3), axes, image, version)

    with open_slide(path) as slide:
        assert (slide.reader, slide.mpp_l0, len(slide.levels)) == ("ome-zarr", 0.5, 2)
        inside = slide.read(Box(37, 41, 99, 87), slide.grid(0.5))
    np.testing.assert_array_equal(inside, image[41:87, 37:99])
    np.testing.assert_array_equal(whole(path), image)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_largest_image_of_a_bioformats2raw_folder_is_the_slide(tmp_path: Path, zarr_format: int) -> None:
    image, version = noise(HEIGHT, WIDTH), {2: "0.4", 3: "0.5"}[zarr_format]
    root = zarr.open_group(tmp_path / "slide.zarr", mode="w", zarr_format=zarr_format)
    root.attrs["bioformats2raw.layout"] = 3
    write_ome_zarr(root.create_group("0"), "tczyx", noise(60, 80, 1), version)
    write_ome_zarr(root.create_group("1"), "tczyx", image, version)

    before = fingerprint_of(tmp_path / "slide.zarr")
    np.testing.assert_array_equal(whole(tmp_path / "slide.zarr"), image)
    root["1/0"][0, 0, 0, :64, :64] = 0
    assert fingerprint_of(tmp_path / "slide.zarr") != before


def test_ome_zarr_of_fluorescence_is_refused(tmp_path: Path) -> None:
    omero = {"channels": [{"label": name, "color": color} for name, color in (("DAPI", "0000FF"), ("CK", "FF0000"))]}
    omero["channels"].append({"label": "CD3", "color": "00FF00"})
    write_ome_zarr(zarr.open_group(tmp_path / "if.zarr", mode="w"), "cyx", noise(60, 80), "0.5", omero=omero)
    (tmp_path / "none.zarr").mkdir()
    zarr.open_group(tmp_path / "labels.zarr", mode="w")

    with pytest.raises(PixelFormatError, match=r"axes cyx of \(3, 60, 80\) uint8, no RGB"):
        open_slide(tmp_path / "if.zarr")
    for name in ("none.zarr", "labels.zarr"):
        with pytest.raises(UnreadableSlideError, match=rf"{name}: "):
            open_slide(tmp_path / name)

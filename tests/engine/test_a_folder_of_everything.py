"""One folder with what people bring: a good slide in each format, and one of each kind that cannot be used."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import geopandas
import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image as Pillow

from tests.helpers.command import WSIPSM
from tests.helpers.slide_files import noise, write_ome_zarr
from tests.helpers.slidegen import read_rgb
from wsipsm.core.geometry import Image
from wsipsm.slide.sample import he_field

QUARTER_UM = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
TILED = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"}
SIDE = 192


def macro_first(path: Path, image: Image) -> None:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(noise(60, 80), metadata={"axes": "YXS"}, **TILED)
        tiff.write(image, metadata={"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}, **TILED)


def channels_as_pages(path: Path, image: Image) -> None:
    metadata = {"axes": "CYX", "Channel": {"Name": ["R", "G", "B"]}, "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    planes = np.ascontiguousarray(np.moveaxis(image, 2, 0))
    tifffile.imwrite(path, planes, photometric="minisblack", tile=(64, 64), metadata=metadata)


def in_subifds(path: Path, image: Image) -> None:
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image, subifds=1, **TILED, **QUARTER_UM)
        tiff.write(noise(SIDE // 4, SIDE // 4), subfiletype=1, **TILED)


def rgbx(path: Path, image: Image) -> None:
    four = np.dstack([image, np.zeros(image.shape[:2], np.uint8)])
    tifffile.imwrite(path, four, extrasamples=["unspecified"], **TILED, **QUARTER_UM)


in_ome_zarr = partial(write_ome_zarr, levels=(1,))

GOOD: dict[str, Callable[[Path, Image], object]] = {
    "plain.png": lambda path, image: Pillow.fromarray(image).save(path),
    "twelve_bits.png": lambda path, image: path.write_bytes(
        imagecodecs.png_encode(np.round(image * (4095 / 255)).astype(np.uint16))
    ),
    "odd_tiles.tif": lambda path, image: tifffile.imwrite(
        path, image, photometric="rgb", tile=(240, 240), **QUARTER_UM
    ),
    "argos.avs": lambda path, image: tifffile.imwrite(path, image, **TILED, **QUARTER_UM),
    "rgbx.tif": rgbx,
    "macro.ome.tif": macro_first,
    "pages.ome.tif": channels_as_pages,
    "subifds.tif": in_subifds,
    "old.zarr": lambda path, image: in_ome_zarr(zarr.open_group(path, zarr_format=2), "tczyx", image, "0.4"),
    "new.zarr": lambda path, image: in_ome_zarr(zarr.open_group(path, zarr_format=3), "yxc", image, "0.5"),
}
"""Files of the same pixels, without loss."""


def cut_deflate(path: Path) -> None:
    tifffile.imwrite(path, noise(300, 300), photometric="rgb", compression="zlib", rowsperstrip=100, **QUARTER_UM)
    path.write_bytes(path.read_bytes()[:100_000])


def stack(path: Path) -> None:
    tifffile.imwrite(path, np.stack([noise(64, 64)] * 2), photometric="rgb")


def turned(path: Path) -> None:
    tifffile.imwrite(path, noise(64, 64), extratags=[(274, "H", 1, 6, True)], **TILED, **QUARTER_UM)


def fluorescence(path: Path) -> None:
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "CK", "CD3"]}}
    tifffile.imwrite(path, np.moveaxis(noise(64, 64), 2, 0).copy(), photometric="minisblack", metadata=metadata)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.svs": (lambda path: path.touch(), "is empty (0 bytes)"),
    "text.ndpi": (lambda path: path.write_text("no slide"), "not a slide"),
    "thumbnail.mrxs": (lambda path: Pillow.fromarray(noise(90, 120)).save(path, "JPEG"), "Slidedat.ini is missing"),
    "thumbnail.scn": (lambda path: Pillow.fromarray(noise(90, 120)).save(path, "JPEG"), "only a plain image"),
    "cut.png": (
        lambda path: path.write_bytes(imagecodecs.png_encode(noise(300, 300))[:9000]),
        "the file is damaged",
    ),
    "cut.tif": (cut_deflate, "the file is damaged"),
    "no.dcm": (lambda path: path.write_bytes(bytes(128) + b"DICM" + bytes(99)), "TIAToolbox cannot open it"),
    "pipe.tif": (os.mkfifo, "not a regular file"),
    "latin1_\udce9.png": (lambda path: Pillow.fromarray(noise(64, 64)).save(path), "its name is not UTF-8"),
    "grey.png": (lambda path: Pillow.fromarray(noise(64, 64)[..., 0]).save(path), "expected 8-bit RGB"),
    "deep.tif": (
        lambda path: tifffile.imwrite(path, noise(64, 64).astype("u2"), photometric="rgb"),
        "expected 8-bit RGB",
    ),
    "stack.tif": (stack, "a stack of 2 colour images"),
    "turned.tif": (turned, "Orientation 6"),
    "fluorescence.ome.tif": (fluorescence, "expected 8-bit RGB"),
    "empty.zarr": (lambda path: path.mkdir(), "cannot open it as OME-Zarr"),
    "closed": (lambda path: path.mkdir(mode=0), "cannot be searched (Permission denied)"),
}
"""What cannot be used, and what a user is told."""


def write_all(folder: Path, image: Image) -> None:
    for name, write in GOOD.items():
        write(folder / name, image)
    for name, (spoil, _) in BAD.items():
        spoil(folder / name)
    (folder / "notes.txt").write_text("no slide")


def as_a_common_user() -> list[str]:
    """What goes before a command, so that root may enter no closed folder."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may enter any folder")
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps=-all"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The run of the folder, and its results."""
    folder, out = tmp_path_factory.mktemp("everything"), tmp_path_factory.mktemp("out")
    image = np.ascontiguousarray(read_rgb(he_field())[:SIDE, :SIDE])
    write_all(folder, image)
    options = ["--slide-mpp", "0.25", "--set", "schedule.processes=false", "--workers", "2"]
    command = [*as_a_common_user(), WSIPSM, "run", str(folder), "-o", str(out), *options]
    environment = {**os.environ, "COLUMNS": "2000"}
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=environment), out


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "slides.csv").open(newline="", encoding="utf-8") as file:
        return {Path(row["slide"]).name: row for row in csv.DictReader(file)}


def test_the_good_ones_are_done_with_the_cells_of_the_plain_picture(
    done: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    rows = rows_of(done[1])
    cells = {name: geopandas.read_parquet(done[1] / rows[name]["slide_id"] / "cells.parquet") for name in GOOD}

    assert {rows[name]["status"] for name in GOOD} == {"done"}
    assert len(cells["plain.png"]) > 10
    for name, found in cells.items():
        assert found.geometry.to_list() == cells["plain.png"].geometry.to_list(), name


def test_each_other_one_is_named_with_its_reason(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    rows = rows_of(done[1])

    assert done[0].returncode == 2, done[0].stderr
    assert len(rows) == len(GOOD) + len(BAD)
    for name, (_, reason) in BAD.items():
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        assert rows[shown]["status"] == "failed", name
        assert reason in rows[shown]["error"], name
    with (done[1] / "failed.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(BAD)


def test_nothing_but_the_product_speaks(done: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    names = "|".join(re.escape(row["slide_id"]) for row in rows_of(done[1]).values())
    known = re.compile(
        rf"({names}): |Dask dashboard: |workers are starting; |.*: passed over in the folders|16 of 26 slides failed"
    )

    assert [line for line in done[0].stderr.splitlines() if line.strip() and not known.match(line)] == []
    assert "1 .txt" in done[0].stderr

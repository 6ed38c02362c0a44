"""A slide with a damaged part keeps what can be read, and says what could not."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import shapely
import tifffile
from rich.console import Console

from tests.helpers.results import PSM, QUICK_FIT, cells_of
from tests.helpers.slidegen import mosaic, read_rgb, write_slide
from wsipsm.cli.progress import progress
from wsipsm.config import load_config
from wsipsm.core.events import Event, SlideState
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.slide import open_slide
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

SETTINGS = (PSM, QUICK_FIT, "tiles.core_px=512", "schedule.workers=2", "schedule.processes=false")


def damage(slide: Path, x: int, y: int, level: int = 0) -> None:
    """Overwrite the compressed tile of a level that holds its pixel (x, y)."""
    with tifffile.TiffFile(slide) as tiff:
        page = tiff.pages[level]
        index = (y // page.tilelength) * -(-page.imagewidth // page.tilewidth) + x // page.tilewidth
        offset, size = page.dataoffsets[index], page.databytecounts[index]
    with slide.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)


def run_damaged(slide: Path, out: Path, encoder: Path) -> SlideState:
    (state,) = run(Request([str(slide)], out, load_config("he", SETTINGS), checkpoint=encoder))
    return state


def test_an_unreadable_part_costs_its_tiles_only_and_is_listed(slide: Path, whole: Path, tmp_path: Path) -> None:
    damaged = shutil.copy(slide, tmp_path / "mosaic.tiff")
    damage(damaged, 2400, 2400)

    state = run_damaged(damaged, tmp_path / "out", whole / "calibration.safetensors")

    results = tmp_path / "out" / "mosaic"
    assert state.status == "partial"
    record = json.loads((results / "run.json").read_text())
    assert record["failed_tiles"]
    assert "cannot be read" in "".join(record["failed_tiles"].values()) or "read" in state.error
    assert "mosaic.tiff" in (tmp_path / "out" / "failed.csv").read_text()
    far = shapely.box(0, 0, 900, 900)
    kept, expected = (int(cells_of(folder).within(far).sum()) for folder in (results, whole))
    assert abs(kept - expected) < 0.1 * expected
    assert json.loads((results / "run.json").read_text())["counts"]["cells"] == len(cells_of(results))


def test_a_partial_slide_tries_its_failed_tiles_again(slide: Path, whole: Path, tmp_path: Path) -> None:
    damaged = shutil.copy(slide, tmp_path / "mosaic.tiff")
    damage(damaged, 2400, 2400)
    run_damaged(damaged, tmp_path / "out", whole / "calibration.safetensors")
    work = next((tmp_path / "out" / "mosaic").glob(".work-*"))
    before = {path: path.stat().st_mtime_ns for path in work.glob("tiles/*.npz")}

    again = run_damaged(damaged, tmp_path / "out", whole / "calibration.safetensors")

    assert before
    assert again.status == "partial"
    assert {path: path.stat().st_mtime_ns for path in work.glob("tiles/*.npz")} == before


def test_what_a_damaged_part_costs_does_not_depend_on_the_tiles(slide: Path, whole: Path, tmp_path: Path) -> None:
    damaged = shutil.copy(slide, tmp_path / "mosaic.tiff")
    damage(damaged, 1300, 1300)

    cells = []
    for core in (256, 2048):
        settings = (*SETTINGS, f"tiles.core_px={core}")
        config = load_config("he", settings)
        (state,) = run(
            Request([str(damaged)], tmp_path / str(core), config, checkpoint=whole / "calibration.safetensors")
        )
        assert state.status == "partial"
        cells.append(cells_of(tmp_path / str(core) / "mosaic"))

    assert len(cells[0]) > 0.5 * len(cells_of(whole))
    assert cells[1].equals(cells[0])


def test_a_single_level_with_a_damaged_part_is_not_lost(tmp_path: Path) -> None:
    pixels = mosaic([read_rgb(he_field())], 2400)
    with tifffile.TiffWriter(tmp_path / "flat.tiff") as tiff:
        dots_per_cm = 1e4 / HE_FIELD_MPP
        tiff.write(
            pixels,
            tile=(256, 256),
            photometric="rgb",
            compression="deflate",
            resolution=(dots_per_cm, dots_per_cm),
            resolutionunit="CENTIMETER",
        )
    damaged = tmp_path / "flat.tiff"
    damage(damaged, 2300, 2300)

    (state,) = run(Request([str(damaged)], tmp_path / "out", load_config("he", SETTINGS[2:])))

    assert state.status == "partial", state.error
    assert state.cells > 50


def test_bars_outlive_a_slide_whose_every_tile_fails(slide: Path, whole: Path, tmp_path: Path) -> None:
    damaged = shutil.copy(slide, tmp_path / "mosaic.tiff")
    for x in range(128, 2500, 256):
        for y in range(128, 2500, 256):
            damage(damaged, x, y)
    console = Console(file=io.StringIO(), force_terminal=True)
    box = json.dumps(shapely.geometry.mapping(shapely.box(0, 0, 2500, 2500)))
    (tmp_path / "roi.geojson").write_text(box)
    request = Request(
        [str(damaged)],
        tmp_path / "out",
        load_config("he", SETTINGS),
        checkpoint=whole / "calibration.safetensors",
        roi=tmp_path / "roi.geojson",
    )

    with progress(console) as on_event:
        (state,) = run(request, on_event)

    assert state.status in {"failed", "partial"}
    assert state.cells == 0
    assert "mosaic" in console.file.getvalue()


def test_tissue_that_cannot_be_seen_is_not_passed_over(tmp_path: Path) -> None:
    """What was cut off is white on the thumbnail; it must not end as glass."""
    pixels = mosaic([read_rgb(he_field())], 2000)
    path = write_slide(tmp_path / "cut.tiff", pixels, mpp=HE_FIELD_MPP)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 3 // 4)
    with open_slide(path) as slide:
        damaged = slide.thumbnail(8.0).damaged_l0

    (state,) = run(Request([str(path)], tmp_path / "out", load_config("he", SETTINGS[2:])))

    lower = shapely.union_all([shapely.box(b.x0, b.y0, b.x1, b.y1) for b in damaged])
    assert lower.covers(shapely.box(0, 1800, 2000, 2000))
    assert lower.disjoint(shapely.box(0, 0, 2000, 1000))
    assert state.status == "partial"
    assert "tiles failed" in state.error
    assert cells_of(tmp_path / "out" / "cut")["centroid_y"].between(0, 1000).sum() > 300


def roi_of(folder: Path, *boxes: tuple[int, int, int, int]) -> Path:
    """Region of interest of boxes, as QuPath writes it."""
    shape = shapely.MultiPolygon([shapely.box(*box) for box in boxes])
    (folder / "roi.geojson").write_text(json.dumps(shapely.geometry.mapping(shape)))
    return folder / "roi.geojson"


def test_cells_are_not_lost_for_a_picture(tmp_path: Path) -> None:
    """The level that the overview is made from is damaged, the one that cells are sought on is not."""
    slide = write_slide(tmp_path / "s.tiff", mosaic([read_rgb(he_field())], 3000), mpp=HE_FIELD_MPP)
    for x, y in ((x, y) for x in (0, 256, 512) for y in (0, 256, 512)):
        damage(slide, x, y, level=1)
    roi = roi_of(tmp_path, (0, 0, 400, 400), (2600, 2600, 3000, 3000))
    config = load_config("he", SETTINGS[2:])
    events = list[Event]()

    (state,) = run(Request([str(slide)], tmp_path / "out", config, roi=roi), events.append)

    assert state.status == "done", state.error
    assert len(cells_of(tmp_path / "out" / "s")) == state.cells > 50
    warning = json.loads((tmp_path / "out" / "s" / "run.json").read_text())["warnings"][-1]
    assert "the slide is blank in overview.png" in warning
    assert "s.tiff: level 1" in warning
    assert warning in state.warnings


def test_a_slide_that_failed_leaves_no_scratch_that_is_of_no_use(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "s.tiff", read_rgb(he_field())[:512, :512], mpp=HE_FIELD_MPP)
    for x, y in ((x, y) for x in (0, 256) for y in (0, 256)):
        damage(slide, x, y)
    roi = roi_of(tmp_path, (0, 0, 512, 512))

    (state,) = run(Request([str(slide)], tmp_path / "out", load_config("he", SETTINGS), roi=roi))

    assert state.status == "failed"
    assert "the file is damaged there" in state.error
    assert not list((tmp_path / "out").glob("s/.*"))


def test_a_slide_that_failed_keeps_its_tiles_for_the_next_run(tmp_path: Path) -> None:
    slide, out = tmp_path / "s.tiff", tmp_path / "out"
    write_slide(slide, read_rgb(he_field())[:512, :512], mpp=HE_FIELD_MPP)
    settings = (*SETTINGS[2:], "tiles.core_px=128", "tiles.block_px=128")
    request = Request([str(slide)], out, load_config("he", settings))

    def break_tile(event: Event) -> None:
        if event.kind == "assembling":
            next(out.glob("s/.work-*/tiles/*.npz")).write_bytes(b"a disk that lies")

    (failed,) = run(request, break_tile)
    mapped = {path: path.stat().st_mtime_ns for path in out.glob("s/.work-*/mapped/*")}
    (again,) = run(request)

    assert failed.status == "failed"
    assert "damaged result of a tile" in failed.error
    assert len(mapped) == 4
    assert again.status == "done"
    assert again.tiles_done == 4
    assert not list(out.glob("s/.*"))

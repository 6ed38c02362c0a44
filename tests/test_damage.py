"""A slide with a damaged part keeps what can be read, and says what could not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import shapely
import tifffile
from results import QUICK_FIT, Silent, cells_of

from wsipsm.archive import SlideState
from wsipsm.config import load_config
from wsipsm.pipeline import Request, run

SETTINGS = (QUICK_FIT, "tiles.core_px=512", "schedule.workers=2", "schedule.processes=false")


def damage(slide: Path, x: int, y: int) -> None:
    """Overwrite the compressed tile of level 0 that holds pixel (x, y)."""
    with tifffile.TiffFile(slide) as tiff:
        page = tiff.pages[0]
        index = (y // page.tilelength) * -(-page.imagewidth // page.tilewidth) + x // page.tilewidth
        offset, size = page.dataoffsets[index], page.databytecounts[index]
    with slide.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * size)


def run_damaged(slide: Path, out: Path, encoder: Path) -> SlideState:
    (state,) = run(Request([str(slide)], out, load_config("he", SETTINGS), encoder=encoder), Silent())
    return state


def test_an_unreadable_part_costs_its_tiles_only_and_is_listed(slide: Path, whole: Path, tmp_path: Path) -> None:
    damaged = shutil.copy(slide, tmp_path / "mosaic.tiff")
    damage(damaged, 2400, 2400)

    state = run_damaged(damaged, tmp_path / "out", whole / "fit.pt")

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
    run_damaged(damaged, tmp_path / "out", whole / "fit.pt")
    work = next((tmp_path / "out" / "mosaic").glob(".work-*"))
    before = {path: path.stat().st_mtime_ns for path in work.glob("tiles/*.npz")}

    again = run_damaged(damaged, tmp_path / "out", whole / "fit.pt")

    assert before
    assert again.status == "partial"
    assert {path: path.stat().st_mtime_ns for path in work.glob("tiles/*.npz")} == before

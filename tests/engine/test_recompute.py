"""What a changed configuration makes of a finished slide: nothing, its files anew, or everything."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.helpers.results import PSM, TINY_FIT
from tests.helpers.slidegen import read_rgb
from wsipsm.config import Config, load_config
from wsipsm.core.events import Event, SlideState
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.slide.sample import he_field

THREADS = (PSM, *TINY_FIT, "schedule.workers=1", "schedule.processes=false")
SPLIT = "output.max_objects_per_file=20"


class Steps:
    """Counts what a run computed: tiles that ended, and files that were written."""

    def __init__(self) -> None:
        self.tiles = self.written = 0

    def __call__(self, event: Event) -> None:
        self.tiles += event.kind == "tile"
        self.written += event.kind == "assembling"


def run_field(folder: Path, *settings: str) -> tuple[SlideState, Steps]:
    """A small slide in a folder, run with settings by the shared encoder of the folder if there is one."""
    steps, encoder = Steps(), folder / "calibration.safetensors"
    request = Request(
        [str(folder / "s.png")],
        folder / "out",
        load_config("he", (*THREADS, *settings)),
        slide_mpp=0.25,
        checkpoint=encoder if encoder.exists() else None,
    )
    (state,) = run(request, steps)
    assert state.status == "done", state.error
    return state, steps


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a slide, its encoder, and its results."""
    folder = tmp_path_factory.mktemp("finished")
    Image.fromarray(read_rgb(he_field())[:400, :400]).save(folder / "s.png")
    state, _ = run_field(folder)
    shutil.copyfile(state.out / "calibration.safetensors", folder / "calibration.safetensors")
    shutil.rmtree(folder / "out")
    _, steps = run_field(folder)
    assert (steps.tiles, steps.written) == (1, 1)
    return folder


@pytest.fixture
def again(finished: Path, tmp_path: Path) -> Path:
    """A copy of that folder, times of change included: a test may do with it what it likes."""
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    return folder


def geojson_of(folder: Path) -> dict[str, bytes]:
    """Bytes of the GeoJSON files of the slide by name, unpacked, and of the script."""
    packed = {path.name: gzip.decompress(path.read_bytes()) for path in (folder / "out" / "s").glob("*.geojson.gz")}
    return packed | {path.name: path.read_bytes() for path in (folder / "out" / "s").glob("*.groovy")}


def record_of(folder: Path) -> Any:
    return json.loads((folder / "out" / "s" / "run.json").read_bytes())


@pytest.mark.parametrize(
    "settings",
    [
        ("training.rounds=9", "segmenter.threshold=0.2"),  # of training, and of the other method
        ("labels.growth_um=1",),  # of the other method
        ("encoder.steps=30", "encoder.width=8"),  # of a network that is given
        ("tiles.core_px=512", "tiles.order=random", "schedule.retries=0"),
    ],
    ids=lambda settings: settings[0],
)
def test_what_no_cell_depends_on_recomputes_nothing(again: Path, settings: tuple[str, ...]) -> None:
    state, steps = run_field(again, *settings)

    assert (steps.tiles, steps.written) == (0, 0)
    assert state.found_done
    assert state.note == ""


@pytest.mark.parametrize(
    "key", ["pseudolabels.growth_um=2", "pseudomask.contrast=0.4", "cells.min_area_um2=9", "tissue.margin_um=20"]
)
def test_what_cells_depend_on_begins_afresh_and_says_so(again: Path, key: str) -> None:
    state, steps = run_field(again, key)

    assert (steps.tiles, steps.written) == (1, 1)
    assert state.note == f"the configuration changed since the last run ({key.partition('=')[0]}): begun afresh"


@pytest.mark.parametrize(
    "settings",
    [
        ("output.objects=points",),
        ("output.object_type=cell",),
        ("output.origin=level0",),
        (SPLIT,),
        ("output.objects=points", "output.object_type=annotation", SPLIT),
    ],
    ids="+".join,
)
def test_other_outputs_are_made_of_the_stored_cells(again: Path, settings: tuple[str, ...], tmp_path: Path) -> None:
    kept = {name: (again / "out" / "s" / name).read_bytes() for name in ("cells.parquet", "overview.png")}

    state, steps = run_field(again, *settings)

    assert (steps.tiles, steps.written) == (0, 1)
    keys = sorted(setting.partition("=")[0] for setting in settings)
    assert sorted(state.note.removeprefix("outputs made again from stored cells: ").split(", ")) == keys
    assert not state.found_done
    assert {name: (again / "out" / "s" / name).read_bytes() for name in kept} == kept
    assert not list((again / "out" / "s").glob(".*")), "no draft and no lock left"
    fresh = tmp_path / "fresh"
    shutil.copytree(again, fresh, ignore=shutil.ignore_patterns("out"))
    _, computed = run_field(fresh, *settings)
    assert computed.tiles == 1
    assert geojson_of(again) == geojson_of(fresh)
    for key in ("digest", "config", "origin_l0", "counts"):
        assert record_of(again)[key] == record_of(fresh)[key]
    assert run_field(again, *settings)[1].written == 0, "and are not made again"


def test_files_are_made_again_where_the_geojson_is_lost(again: Path) -> None:
    before = geojson_of(again)
    (again / "out" / "s" / "cells.geojson.gz").unlink()

    state, steps = run_field(again)

    assert (steps.tiles, steps.written) == (0, 1)
    assert state.note == "outputs made again from stored cells: cells.geojson.gz"
    assert geojson_of(again) == before


def test_an_array_that_is_not_stored_is_computed_and_the_note_says_why(again: Path) -> None:
    state, steps = run_field(again, "output.arrays=[instances, pseudo_mask]")

    assert steps.tiles == 1
    assert state.note == "output.arrays asks for pseudo_mask, which the last run did not store: begun afresh"
    assert (again / "out" / "s" / "labels.ome.zarr" / "pseudo_mask").is_dir()
    state, steps = run_field(again)
    assert (steps.tiles, steps.written, state.note) == (0, 0, ""), "an array more than is asked for may stay"
    run_field(again, "output.objects=points")
    assert record_of(again)["config"]["output"]["arrays"] == ["instances", "pseudo_mask"], "what is stored"


def test_stored_cells_that_cannot_be_read_are_found_again(again: Path) -> None:
    before = geojson_of(again)
    (again / "out" / "s" / "cells.parquet").write_bytes(b"half a file")

    state, steps = run_field(again, SPLIT)

    assert steps.tiles == 1
    assert state.note.startswith("outputs cannot be made from stored cells (")
    assert state.note.endswith("): begun afresh")
    assert state.cells == len(json.loads(before["cells.geojson.gz"])["features"])


def test_files_that_a_killed_run_left_half_made_are_made_again(again: Path) -> None:
    before = geojson_of(again)
    (again / "out" / "s" / ".work-0-0").mkdir()  # what is left is removed, whatever it is
    record = record_of(again)
    record["config"]["output"] = {"arrays": ["instances"]}  # as noted before the first file goes
    (again / "out" / "s" / "run.json").write_text(json.dumps(record))
    (again / "out" / "s" / "cells.geojson.gz").unlink()

    _, steps = run_field(again)

    assert (steps.tiles, steps.written) == (0, 1)
    assert geojson_of(again) == before


def test_every_key_says_what_it_is_for() -> None:
    segmenter = Config().result_keys()
    psm = load_config("he", (PSM,)).result_keys()

    assert set(segmenter) - set(psm) == {"labels", "segmenter"}
    assert set(psm) - set(segmenter) == {"pseudolabels", "pseudomask"}
    assert set(segmenter["segmenter"]) == {"threshold", "input_scale", "distance_smoothing_um"}
    assert set(segmenter["encoder"]) == {"seed", "patches", "patch_px"}
    assert set(psm["encoder"]) == set(Config().encoder.model_dump())
    assert set(segmenter["tiles"]) == {"block_px"}
    assert not {"output", "schedule"} & (set(segmenter) | set(psm))

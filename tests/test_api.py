"""The Python interface: in scripts, in notebooks, where an event loop runs, and lazily imported."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import geopandas
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image as PillowImage

import wsipsm
from tests.helpers.slidegen import read_rgb, write_slide
from wsipsm.core.errors import OutputError, RegionError
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

README = Path(__file__).parents[1] / "README.md"
QUICK = ["schedule.workers=1", "schedule.processes=false"]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of the H&E field that comes with TIAToolbox."""
    path = tmp_path_factory.mktemp("field") / "field.png"
    PillowImage.open(he_field()).convert("RGB").crop((0, 0, 512, 512)).save(path)
    return path


@pytest.fixture(scope="module")
def result(field: Path) -> wsipsm.Result:
    (found,) = wsipsm.run(field, field.parent / "out", slide_mpp=HE_FIELD_MPP, settings=QUICK)
    return found


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script of its own, run as a file: worker processes find it as their ``__main__``."""
    script = folder / "script.py"
    script.write_text(code)
    return subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=300)


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = "import sys, wsipsm; print([m for m in ('numpy', 'torch', 'dask', 'pydantic', 'zarr') if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there_and_documented() -> None:
    for name in wsipsm.__all__:
        thing = getattr(wsipsm, name)
        assert name in dir(wsipsm)
        assert isinstance(thing, str) or thing.__doc__, name
    with pytest.raises(AttributeError, match="no_such"):
        wsipsm.no_such  # noqa: B018


def test_cells_labels_and_table_agree(result: wsipsm.Result) -> None:
    cells, labels = result.cells, np.asarray(result.labels[:])

    assert isinstance(cells, geopandas.GeoDataFrame)
    assert (result.status, result.error, result.warnings) == ("done", "", ())
    assert len(cells) == result.count == result.table().num_rows == len(np.unique(labels)) - 1 > 50
    assert set(cells["label"]) == set(np.unique(labels)) - {0}
    assert result.record["counts"]["cells"] == len(cells)
    assert cells.geometry.area.sum() * HE_FIELD_MPP**2 == pytest.approx(cells["area_um2"].sum(), rel=0.1)


def test_a_box_gives_the_cells_that_meet_it(result: wsipsm.Result) -> None:
    some = result.table(["label"], box_l0=wsipsm.Box(100, 120, 260, 300))["label"].to_pylist()

    every = result.cells
    bounds = every.bounds
    meet = (bounds.minx < 260) & (bounds.maxx > 100) & (bounds.miny < 300) & (bounds.maxy > 120)
    assert some == every["label"][meet].tolist()
    assert 0 < len(some) < len(every)


def test_an_overlay_shows_pixels_of_the_slide_under_outlines_of_cells(result: wsipsm.Result, field: Path) -> None:
    picture = np.asarray(result.overlay((100, 120, 300, 280)))

    pixels = np.asarray(PillowImage.open(field))[120:280, 100:300]
    assert picture.shape == (160, 200, 3)
    drawn = (picture != pixels).any(-1)
    assert 0.02 < drawn.mean() < 0.6
    labels = np.asarray(result.labels[60:140, 50:150]).repeat(2, 0).repeat(2, 1)
    edge = (labels != np.roll(labels, 1, 0)) | (labels != np.roll(labels, 1, 1))
    assert drawn[edge].mean() > 0.6


def test_zoom_repeats_pixels_and_draws_outlines_as_thin_on_them(result: wsipsm.Result, field: Path) -> None:
    picture = np.asarray(result.overlay((100, 120, 200, 180), zoom=4))
    plain = np.asarray(result.overlay((100, 120, 200, 180)))

    pixels = np.asarray(PillowImage.open(field))[120:180, 100:200].repeat(4, 0).repeat(4, 1)
    assert picture.shape == pixels.shape
    drawn = (picture != pixels).any(-1)
    assert 0 < drawn.mean() < (plain != pixels[::4, ::4]).any(-1).mean()
    for wrong in (0, -1):
        with pytest.raises(RegionError, match="zoom"):
            result.overlay((100, 120, 200, 180), zoom=wrong)


@pytest.mark.parametrize("region", [(600, 600, 700, 700), (10, 10, 10, 50), (5, 5, 2, 9)])
def test_a_region_without_pixels_is_refused(result: wsipsm.Result, region: tuple[int, int, int, int]) -> None:
    with pytest.raises(RegionError, match="region"):
        result.overlay(region)


def test_a_result_shows_itself(result: wsipsm.Result) -> None:
    assert f"{result.count:,} cells" in repr(result)
    assert f"{result.count:,} cells" in result._repr_html_()
    encoded = result._repr_html_().partition("data:image/jpeg;base64,")[2].partition("'")[0]
    picture = PillowImage.open(io.BytesIO(base64.b64decode(encoded)))
    assert max(picture.size) <= 1200
    assert picture.width / picture.height == pytest.approx(result.overview.width / result.overview.height, rel=0.01)
    assert len(encoded) < (result.folder / "overview.png").stat().st_size / 2


def test_a_result_below_the_working_folder_is_named_from_there(
    result: wsipsm.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert repr(str(result.folder)) in repr(result)
    monkeypatch.chdir(result.folder.parent)
    assert repr(result).startswith(f"Result('{result.name}', done, ")


def test_there_is_a_field_to_try_things_on() -> None:
    field = wsipsm.sample_field()

    assert field == (he_field(), HE_FIELD_MPP)
    with PillowImage.open(field.path) as picture:
        assert picture.size == (1000, 1000)


def test_errors_name_arguments_of_python(field: Path, tmp_path: Path) -> None:
    (failed,) = wsipsm.run(field, tmp_path / "out", settings=QUICK)
    assert "slide_mpp" in failed.error
    assert "--" not in failed.error
    assert "slide_mpp" in failed.warnings[0]

    (tmp_path / "truth").mkdir()
    (tmp_path / "found").mkdir()
    labels = PillowImage.fromarray(np.ones((8, 8), np.uint8))
    for path in ("truth/a.png", "truth/b.png", "found/a.png"):
        labels.save(tmp_path / path)
    with pytest.raises(wsipsm.WsipsmError, match=r"allow_missing=True") as caught:
        wsipsm.evaluate(tmp_path / "found", tmp_path / "truth")
    assert "--" not in str(caught.value)


def test_results_are_opened_by_their_folder(result: wsipsm.Result, tmp_path: Path) -> None:
    assert wsipsm.open_result(result.folder).count == result.count
    with pytest.raises(OutputError, match="field"):
        wsipsm.open_result(result.folder.parent)
    with pytest.raises(OutputError, match="expected the folder of one slide"):
        wsipsm.open_result(tmp_path)


def test_a_slide_that_fails_is_a_result_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.svs").write_text("no slide")

    (failed,) = wsipsm.run(tmp_path / "broken.svs", tmp_path / "out", settings=QUICK)

    assert failed.status == "failed"
    assert failed.error
    with pytest.raises(OutputError, match="no results"):
        failed.cells  # noqa: B018


def test_events_tell_how_a_run_goes(field: Path, tmp_path: Path) -> None:
    events: list[wsipsm.Event] = []

    wsipsm.run([field], tmp_path, slide_mpp=HE_FIELD_MPP, settings=QUICK, on_event=events.append)

    kinds = [event.kind for event in events if event.kind != "message"]
    assert [kinds[0], kinds[-2], kinds[-1]] == ["started", "assembling", "ended"]
    assert "tile" in kinds


def test_a_stop_ends_a_run_that_another_call_goes_on_with(field: Path, tmp_path: Path) -> None:
    stop = wsipsm.Stop()
    stop.ask("enough")

    with pytest.raises(wsipsm.WsipsmError, match="enough"):
        wsipsm.run(field, tmp_path, slide_mpp=HE_FIELD_MPP, settings=QUICK, stop=stop)

    (found,) = wsipsm.run(field, tmp_path, slide_mpp=HE_FIELD_MPP, settings=QUICK)
    assert found.status == "done"


def test_a_run_in_a_coroutine(field: Path, result: wsipsm.Result, tmp_path: Path) -> None:
    async def main() -> list[wsipsm.Result]:
        return wsipsm.run(field, tmp_path, slide_mpp=HE_FIELD_MPP, settings=QUICK)

    (found,) = asyncio.run(main())

    assert found.count == result.count


def test_a_notebook_shows_cells_and_a_picture(field: Path, result: wsipsm.Result, tmp_path: Path) -> None:
    cells = [
        f"import wsipsm\n(result,) = wsipsm.run({str(field)!r}, 'out', slide_mpp={HE_FIELD_MPP}, "
        "settings=['schedule.workers=1'])\nresult",
        "len(result.cells)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])

    NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()

    shown, counted = (cell.outputs[-1].data for cell in notebook.cells)
    assert "data:image/jpeg;base64," in shown["text/html"]
    assert len(shown["text/html"]) < 500_000, "a notebook keeps it"
    assert counted["text/plain"] == str(result.count)


def test_the_example_of_the_readme_runs_on_processes_without_a_main_guard(
    field: Path, result: wsipsm.Result, tmp_path: Path
) -> None:
    text = README.read_text(encoding="utf-8")
    (example,) = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    ast.parse(example)
    assert len(example.strip().splitlines()) == 5
    write_slide(tmp_path / "slide.tiff", read_rgb(field), mpp=HE_FIELD_MPP)

    done = python(example.replace("slide.svs", "slide.tiff"), tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert wsipsm.open_result(tmp_path / "out" / "slide").count == result.count
    assert done.stdout.split()[:3] == ["area_um2", "confidence", "count"], "printed once"
    assert done.stdout.count("count") == 1


def test_training_and_scoring(field: Path, result: wsipsm.Result, tmp_path: Path) -> None:
    short = ["training.members=1", "training.distil_steps=0"]
    tiny = ["encoder.steps=2", "encoder.patches=8", "training.fields=1", "training.steps=2", "training.rounds=0"]

    model = wsipsm.train(field, tmp_path / "model", slide_mpp=HE_FIELD_MPP, settings=[*tiny, *short])
    report = wsipsm.evaluate(result.folder, result.folder / "cells.geojson.gz")

    assert model == tmp_path / "model" / "model.safetensors"
    assert json.loads(json.dumps(report))["mean"]["aji"] > 0.9

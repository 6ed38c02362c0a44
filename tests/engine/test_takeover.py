"""Workers that were taken for lost, and tasks of a run that is no more, do no harm."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import orjson
import psutil
import pytest
from PIL import Image

from tests.helpers.results import cells_of, labels_of
from tests.helpers.slide_files import write_two_series
from tests.helpers.slidegen import read_rgb
from tests.helpers.written import written
from wsipsm.config import load_config
from wsipsm.core import files
from wsipsm.core.errors import OutputError, StaleError, UnreadableSlideError
from wsipsm.core.lock import locked_trees
from wsipsm.engine.job import JobRef, SlideTask
from wsipsm.engine.reports import Prepared, Tally
from wsipsm.engine.resume import look_up
from wsipsm.engine.tasks.assemble import assemble
from wsipsm.engine.tasks.calibrate import calibrate
from wsipsm.engine.tasks.find_cells import find_cells
from wsipsm.engine.tasks.map_tile import map_tile
from wsipsm.engine.tasks.prepare import prepare
from wsipsm.engine.tasks.publish import publish
from wsipsm.engine.tasks.write_labels import write_labels
from wsipsm.results import folder
from wsipsm.slide.sample import he_field


@pytest.fixture
def task(tmp_path: Path) -> SlideTask:
    """A field of 2 x 2 tiles, as a run asks for it."""
    Image.fromarray(read_rgb(he_field())[:700, :700]).save(tmp_path / "s.png")
    config = load_config("he", ("tiles.core_px=256", "tiles.block_px=256"))
    return SlideTask(tmp_path / "s.png", "s", tmp_path / "out" / "s", config, slide_mpp=0.25, token="first")


def tell(_: object) -> None: ...


def do_tiles(found: Prepared) -> Tally:
    """All that comes before the assembly."""
    calibrate(found.ref, progress=tell)
    for step in (map_tile, find_cells):
        for tile in found.plan.tiles:
            step(found.ref, tile)
    return Tally(tiles=len(found.plan.tiles))


def test_a_slide_prepared_twice_in_one_run_keeps_what_was_done(task: SlideTask) -> None:
    first = prepare(replace(task, fresh=True))
    do_tiles(first)

    again = prepare(replace(task, fresh=True))

    assert again.ref == first.ref
    assert again.mapped == set(first.plan.tiles)
    assert set(again.done) == set(first.plan.tiles)


def test_a_fresh_run_drops_what_another_left(task: SlideTask) -> None:
    do_tiles(prepare(task))

    found = prepare(replace(task, fresh=True, token="second"))

    assert not found.mapped
    assert not found.done
    assert not found.calibrated
    assert list(task.out.iterdir()) == [Path(found.ref.work)]


@pytest.mark.parametrize("step", [map_tile, find_cells])
def test_a_task_of_an_earlier_run_ends(task: SlideTask, step: Callable[..., object]) -> None:
    stale = prepare(task)
    calibrate(stale.ref, progress=tell)
    prepare(replace(task, token="second"))

    with pytest.raises(StaleError, match="another run has taken over"):
        step(stale.ref, stale.plan.tiles[0])


def test_an_assembly_of_an_earlier_run_publishes_nothing(task: SlideTask) -> None:
    stale = prepare(task)
    tally = do_tiles(stale)
    written(stale.ref, tally)
    before = (task.out / "run.json").stat().st_mtime_ns
    prepare(replace(task, token="second"))

    with pytest.raises(StaleError):
        written(stale.ref, tally)

    assert (task.out / "run.json").stat().st_mtime_ns == before


def test_an_assembly_whose_slide_is_over_publishes_nothing(task: SlideTask) -> None:
    found = prepare(task)
    tally = do_tiles(found)
    written(found.ref, tally)
    shutil.rmtree(Path(found.ref.work))

    with pytest.raises(StaleError, match="gone"):
        written(found.ref, tally)

    assert look_up(task).finished is not None
    assert not list(task.out.glob(".*"))


def test_two_assemblies_at_once_leave_one_whole_result(task: SlideTask) -> None:
    found = prepare(task)
    tally = do_tiles(found)
    written(found.ref, tally)
    expected, labels = cells_of(task.out), labels_of(task.out)

    (task.out / "run.json").unlink()
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda _: written(found.ref, tally), range(4)))

    assert {report.cells for report in reports} == {len(expected)}
    assert cells_of(task.out).equals(expected)
    assert (labels_of(task.out) == labels).all()
    assert not list(task.out.glob(".draft-*"))


def test_a_late_calibration_does_not_replace_the_one_in_use(task: SlideTask) -> None:
    found = prepare(task)
    calibrate(found.ref, progress=tell)
    before = (Path(found.ref.work) / "calibration.safetensors").stat().st_mtime_ns

    calibrate(found.ref, progress=tell)

    assert (Path(found.ref.work) / "calibration.safetensors").stat().st_mtime_ns == before


def test_of_calibrations_at_once_the_first_stays(task: SlideTask) -> None:
    """Tiles may be mapped with it already; another machine's bits may differ."""
    config = load_config("he", ("recognizer.method=psm", "encoder.steps=1", "encoder.patches=8"))
    found = prepare(replace(task, config=config))
    all_learnt = threading.Barrier(4)

    def calibrated(_: int) -> tuple[int, int]:
        calibrate(found.ref, progress=lambda _: all_learnt.wait(300))
        stat = (Path(found.ref.work) / "calibration.safetensors").stat()
        return stat.st_ino, stat.st_mtime_ns

    with ThreadPoolExecutor(4) as threads:
        seen = set(threads.map(calibrated, range(4)))

    assert len(seen) == 1, "nobody saw another file"
    assert [path.name for path in Path(found.ref.work).glob("*calibration*")] == ["calibration.safetensors"]


def test_a_worker_closes_the_slides_it_is_done_with(tmp_path: Path) -> None:
    """Thousands of slides pass through a worker; it may keep two open."""
    image = read_rgb(he_field())[:512, :512]
    config = load_config("he", ("tiles.core_px=256", "tiles.block_px=256"))
    slides = [write_two_series(tmp_path / f"{name}.ome.tif", image) for name in "abcd"]
    for path in slides:
        do_tiles(prepare(SlideTask(path, path.name, tmp_path / "out" / path.name, config, token="first")))

    still_open = {file.path for file in psutil.Process().open_files()}

    assert not still_open & {str(path) for path in slides[:2]}
    assert str(slides[3]) in still_open, "a worker keeps the slide that it is at"


def test_a_late_prepare_of_a_killed_run_touches_nothing(task: SlideTask, tmp_path: Path) -> None:
    """Its worker was busy with a slow slide while the client was killed and another one began."""
    root = tmp_path / "out"
    root.mkdir()
    late = replace(task, root=root, run="killed", token="late", fresh=True)
    with locked_trees([root], run="alive"):
        mine = prepare(replace(task, root=root, run="alive", token="mine"))
        tally = do_tiles(mine)

        with pytest.raises(StaleError, match="another run has begun"):
            prepare(late)

        assert written(mine.ref, tally).cells > 100
    with pytest.raises(StaleError, match="another run has begun"):
        prepare(late)


def test_a_copy_that_is_lost_is_given_up_for_the_slide(task: SlideTask, tmp_path: Path) -> None:
    copy = tmp_path / "fast" / "s.png"
    copy.parent.mkdir()
    shutil.copy(task.slide, copy)
    found = prepare(replace(task, staged=copy))
    copy.write_bytes(b"lost")

    tally = do_tiles(found)

    assert written(found.ref, tally).cells > 100


def test_what_a_killed_worker_left_of_a_finished_slide_goes(task: SlideTask) -> None:
    found = prepare(task)
    written(found.ref, do_tiles(found))
    (task.out / ".draft-x").mkdir()

    assert look_up(task).finished is not None

    assert not list(task.out.glob(".*"))


def test_maps_that_did_not_reach_the_disk_are_made_again(task: SlideTask) -> None:
    """Where power fails, a small mark may be on the disk and the maps before it may not, or half of them."""
    found = prepare(task)
    tally = do_tiles(found)
    written(found.ref, tally)
    expected = cells_of(task.out)
    stored = sorted(found.ref.load().maps.folder.iterdir())
    stored[0].write_bytes(b"")
    stored[1].unlink()
    stored[2].write_bytes(stored[2].read_bytes()[:100])
    for path in Path(found.ref.work, "tiles").iterdir():
        path.unlink()

    again = prepare(task)
    do_tiles(again)
    (task.out / "run.json").unlink()
    written(again.ref, tally)

    assert len(again.mapped) == len(found.plan.tiles) - 3
    assert cells_of(task.out).equals(expected)


def test_maps_of_an_earlier_version_are_made_again(task: SlideTask) -> None:
    """They were one Zarr array, in a folder of another name; the status of a tile looked as it does now."""
    found = prepare(task)
    tally = do_tiles(found)
    work = Path(found.ref.work)
    for path in (work / "maps").iterdir():
        shard = work / "maps.zarr" / "c" / "0" / path.name.replace("_", "/")
        shard.parent.mkdir(parents=True, exist_ok=True)
        path.rename(shard)

    again = prepare(task)

    assert not again.mapped
    assert not again.done
    cells = written(again.ref, do_tiles(again)).cells
    (task.out / "run.json").unlink()
    assert written(found.ref, tally).cells == cells > 100


def test_results_are_published_once_whoever_tries_again(task: SlideTask) -> None:
    """A worker may die when all is done, and its task is given out again."""
    found = prepare(task)
    tally = do_tiles(found)
    labels, cells = write_labels(found.ref), assemble(found.ref, tally)
    first = publish(found.ref, cells, labels, 1.0)
    before = (task.out / "run.json").stat().st_mtime_ns

    again = publish(found.ref, cells, labels, 2.0)

    assert again == first
    assert first.cells == len(cells_of(task.out)) > 100
    assert (task.out / "run.json").stat().st_mtime_ns == before
    assert not list(task.out.glob(".draft-*"))


def test_a_slide_that_changed_meanwhile_is_not_given_another_s_cells(task: SlideTask) -> None:
    """UUIDs follow from its content."""
    found = prepare(task)
    tally = do_tiles(found)
    content = task.slide.read_bytes()
    task.slide.write_bytes(content + b"more")

    with pytest.raises(UnreadableSlideError, match="has changed meanwhile: run again"):
        assemble(found.ref, tally)

    task.slide.write_bytes(content)
    assert written(found.ref, tally).cells > 100


def test_a_draft_that_is_not_whole_is_not_published(task: SlideTask) -> None:
    found = prepare(task)
    tally = do_tiles(found)
    written(found.ref, tally)
    expected = cells_of(task.out)
    record = task.out / "run.json"
    record.write_bytes(record.read_bytes().replace(b'"first"', b'"other"'))
    labels, cells = write_labels(found.ref), assemble(found.ref, tally)
    shutil.rmtree(task.out / labels.draft)

    with pytest.raises(OutputError, match=r"labels\.ome\.zarr of this run got lost; run again"):
        publish(found.ref, cells, labels, 1.0)

    assert cells_of(task.out).equals(expected), "what was there stays"
    assert labels_of(task.out).any()


def test_the_record_and_the_report_name_the_seconds_of_the_labels(task: SlideTask) -> None:
    found = prepare(task)
    tally = replace(do_tiles(found), stage_seconds={"read": 1.5}, seconds=2.0)
    labels, cells = write_labels(found.ref), assemble(found.ref, tally)

    publish(found.ref, cells, labels, 7.0)

    seconds = orjson.loads((task.out / "run.json").read_bytes())["seconds"]
    assert list(seconds["workers"]) == ["read", "write_labels", "assemble"]
    assert seconds["workers"]["write_labels"] == round(labels.seconds, 3) > 0
    assert 7.0 <= seconds["wall"] < 60
    assert "writing labels" in (task.out / "report.html").read_text()


@pytest.mark.parametrize("step", [write_labels, partial(assemble, tally=Tally())])
def test_a_slide_that_is_over_meanwhile_gets_no_draft(
    task: SlideTask, step: Callable[[JobRef], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was taken for lost, and another one finished the slide."""
    found = prepare(task)
    do_tiles(found)
    flushed = files.flush_tree

    def over(folder: Path) -> None:
        flushed(folder)
        shutil.rmtree(found.ref.work, ignore_errors=True)

    for module in (write_labels, assemble):
        monkeypatch.setitem(module.__globals__, "flush_tree", over)

    with pytest.raises(StaleError, match="gone"):
        step(found.ref)

    assert not list(task.out.glob(".draft-*"))


@pytest.mark.parametrize("moved", range(8))
def test_a_publishing_that_is_interrupted_goes_on(task: SlideTask, moved: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker dies while files get their final names; another one does the task again."""
    found = prepare(task)
    tally = do_tiles(found)
    written(found.ref, tally)
    expected = cells_of(task.out)
    (task.out / "run.json").unlink()
    labels, cells = write_labels(found.ref), assemble(found.ref, tally)
    left = moved

    def replaced(source: Path, target: Path) -> None:
        nonlocal left
        if target.parent == task.out:
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        real(source, target)

    real = os.replace
    with monkeypatch.context() as dying:
        dying.setattr(folder.os, "replace", replaced)
        with pytest.raises(KeyboardInterrupt):
            publish(found.ref, cells, labels, 1.0)
    assert not (task.out / "run.json").exists()

    assert publish(found.ref, cells, labels, 1.0).cells == len(expected)

    assert cells_of(task.out).equals(expected)
    assert labels_of(task.out).any()
    assert look_up(task).finished is not None
    assert not list(task.out.glob(".draft-*"))


def test_a_slide_out_of_reach_at_the_end_costs_its_report_alone(task: SlideTask) -> None:
    found = prepare(task)
    tally = do_tiles(found)
    labels, cells = write_labels(found.ref), assemble(found.ref, tally)
    task.slide.unlink()

    report = publish(found.ref, cells, labels, 1.0)

    assert report.cells == len(cells_of(task.out)) > 100
    assert [text for text in report.warnings if text.startswith("report.html was not written: ")]
    assert not (task.out / "report.html").exists()


def test_what_a_worker_writes_after_another_one_was_faster_goes(task: SlideTask) -> None:
    """It was taken for lost; the slide stays under way, as of a partial one."""
    found = prepare(task)
    tally = do_tiles(found)
    written(found.ref, tally)

    for late in (write_labels, partial(assemble, tally=tally)):
        with pytest.raises(StaleError, match="another worker has written the results"):
            late(found.ref)

    assert not list(task.out.glob(".draft-*"))

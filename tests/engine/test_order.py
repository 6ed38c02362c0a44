"""In which order the slides of an archive get the workers, whichever task ends first."""

from __future__ import annotations

import contextlib
import pkgutil
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.slidegen import mosaic, read_rgb, write_slide
from wsipsm.config import load_config
from wsipsm.core.errors import OutputError
from wsipsm.core.events import SlideState
from wsipsm.engine import cluster, pipeline
from wsipsm.engine.archive import Archive
from wsipsm.engine.cluster import Failure, Task
from wsipsm.engine.job import JobRef, SlideTask
from wsipsm.engine.reports import CellsReport, LabelsReport, OutputReport, Prepared
from wsipsm.engine.request import Request
from wsipsm.engine.slide_run import TILE_KINDS, SlideRun
from wsipsm.slide.sample import HE_FIELD_MPP, he_field
from wsipsm.tissue.tiles import Tile, TilePlan

IN_FLIGHT = 3


class Driver:
    """Does tasks in this process, a few in flight, and ends them in an order of its own; notes what writing held up.

    Attributes
    ----------
    held_up : list of int
        For each slide that is written, tiles of other slides that could have been worked on when it was given out.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.held_up = list[int]()
        self._plans: dict[str, TilePlan] = {}
        self._tiles: dict[str, set[Tile]] = {}
        self._mapped: dict[str, set[Tile]] = {}
        self._begun, self._flying = set[tuple[str, str, Tile]](), list[Task]()

    def run(self, _: Any, archive: Archive, __: Any) -> None:
        while not archive.over():
            while len(self._flying) < IN_FLIGHT and (task := archive.next_task()) is not None:
                self._note(task)
                self._flying.append(task)
            task = self._flying.pop(self._random.randrange(len(self._flying)))
            told = {"progress": lambda _: None} if task.progress else {}
            result = pkgutil.resolve_name(task.target)(*task.args, **told)
            self._ended(task, result)
            archive.done(task, result)

    def _note(self, task: Task) -> None:
        slide = slide_of(task)
        if task.kind in TILE_KINDS:
            self._begun.add((slide, task.kind, task.args[1]))
        elif task.kind == "labels":
            self._tiles.pop(slide)
            self.held_up.append(sum(self._free(other) for other in self._tiles))

    def _free(self, slide: str) -> int:
        """Tiles of a slide that a worker could map or find the cells of now."""
        if any(task.kind == "calibrate" and slide_of(task) == slide for task in self._flying):
            return 0
        all_tiles, mapped = self._tiles[slide], self._mapped[slide]
        unmapped = [tile for tile in all_tiles if (slide, "map", tile) not in self._begun and tile not in mapped]
        ready = [
            tile
            for tile in all_tiles
            if (slide, "find", tile) not in self._begun and set(self._plans[slide].needs(tile)) <= mapped
        ]
        return len(unmapped) + len(ready)

    def _ended(self, task: Task, result: Any) -> None:
        slide = slide_of(task)
        if task.kind == "prepare":
            self._plans[slide] = result.plan
            self._tiles[slide], self._mapped[slide] = set(result.plan.tiles), set()
        elif task.kind == "map":
            self._mapped[slide].add(task.args[1])
        elif task.kind == "find":
            self._tiles[slide].discard(task.args[1])


def slide_of(task: Task) -> str:
    """Slide of a task, by its key."""
    return task.key.removeprefix(f"{task.kind}-").split("-")[0]


def test_no_assembly_goes_before_tiles_of_the_last_slides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An assembly is one worker's: the other workers would have nothing to do at the end."""
    pixels, driver = mosaic([read_rgb(he_field())], 1240), Driver(seed=0)
    for name in ("a", "b"):
        write_slide(tmp_path / f"{name}.tiff", pixels, mpp=HE_FIELD_MPP)
    monkeypatch.setattr(cluster, "run_stream", driver.run)
    monkeypatch.setattr(cluster, "connect", lambda *_, **__: contextlib.nullcontext(SimpleNamespace(dashboard="")))
    config = load_config("he", ("tiles.core_px=128", "tiles.block_px=128", "schedule.processes=false"))

    states = pipeline.run(Request([str(tmp_path / "*.tiff")], tmp_path / "out", config))

    assert [(state.status, state.tiles_total) for state in states] == [("done", 25)] * 2
    assert driver.held_up == [0, 0]


@pytest.fixture
def at_the_end(tmp_path: Path) -> SlideRun:
    """A slide without tiles, of which only the writing is left."""
    task = SlideTask(tmp_path / "s.tiff", "s", tmp_path / "out" / "s", load_config())
    run = SlideRun(task, SlideState(task.slide, task.slide_id, task.out))
    run.done(next_of(run), Prepared(JobRef("", ""), TilePlan(()), 0.0, False, frozenset(), {}))
    return run


def next_of(run: SlideRun) -> Task:
    task = run.next_task()
    assert task is not None
    return task


@pytest.mark.parametrize("labels_first", [True, False])
def test_results_are_published_when_labels_and_all_else_are_written(at_the_end: SlideRun, labels_first: bool) -> None:
    """The two are written side by side, whichever ends first."""
    labels, cells = next_of(at_the_end), next_of(at_the_end)
    ended = [(labels, LabelsReport("l", 1.0)), (cells, CellsReport("c", 2.0))]

    for task, report in ended if labels_first else ended[::-1]:
        assert at_the_end.next_task() is None
        at_the_end.done(task, report)

    last = next_of(at_the_end)
    assert [task.kind for task in (labels, cells, last)] == ["labels", "assemble", "publish"]
    assert last.args[1:3] == (CellsReport("c", 2.0), LabelsReport("l", 1.0))
    assert at_the_end.next_task() is None
    at_the_end.done(last, OutputReport(0))
    assert (at_the_end.over, at_the_end.state.status) == (True, "empty")


def test_a_stop_lets_what_is_written_be_published(tmp_path: Path) -> None:
    """It takes a moment, and writing takes minutes on a large slide."""
    task = SlideTask(tmp_path / "s.tiff", "s", tmp_path / "out" / "s", load_config())
    archive = Archive([(task, SlideState(task.slide, task.slide_id, task.out))], lambda _: None)
    prepare = archive.next_task()
    assert prepare is not None
    archive.done(prepare, Prepared(JobRef("", ""), TilePlan(()), 0.0, False, frozenset(), {}))
    labels, cells = archive.next_task(), archive.next_task()
    assert labels is not None
    assert cells is not None
    archive.stop.ask("stopped by SIGINT")

    assert archive.last_task() is None
    archive.done(labels, LabelsReport("l", 1.0))
    assert archive.last_task() is None
    archive.done(cells, CellsReport("c", 2.0))

    last = archive.last_task()
    assert last is not None
    assert last.kind == "publish"
    assert archive.last_task() is None


@pytest.mark.parametrize("failing", [0, 1])
def test_a_slide_whose_labels_or_cells_cannot_be_written_fails(at_the_end: SlideRun, failing: int) -> None:
    """While the other task is still under way."""
    under_way = [next_of(at_the_end), next_of(at_the_end)]

    at_the_end.failed(under_way[failing], Failure(OutputError("a damaged disk"), "trace"))

    assert (at_the_end.over, at_the_end.state.status) == (True, "failed")
    assert at_the_end.state.error == "a damaged disk"
    assert at_the_end.next_task() is None

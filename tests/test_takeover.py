"""Workers that were taken for lost, and tasks of a run that is no more, do no harm."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image
from results import cells_of, labels_of
from slide_files import write_two_series
from slidegen import read_rgb

from wsipsm.config import load_config
from wsipsm.errors import StaleError
from wsipsm.finish import Tally, finish
from wsipsm.ledger import look_up
from wsipsm.order import Order
from wsipsm.prepare import Prepared, prepare
from wsipsm.samples import he_field
from wsipsm.stages import fit, map_tile, recognise_tile


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """A field of 2 x 2 tiles, as a run asks for it."""
    Image.fromarray(read_rgb(he_field())[:700, :700]).save(tmp_path / "s.png")
    config = load_config("he", ("tiles.core_px=256", "tiles.block_px=256"))
    return Order(tmp_path / "s.png", "s", tmp_path / "out" / "s", config, slide_mpp=0.25, token="first")


def tell(_: object) -> None: ...


def do_tiles(found: Prepared) -> Tally:
    """All that comes before the finishing pass."""
    fit(found.ref, progress=tell)
    for step in (map_tile, recognise_tile):
        for tile in found.plan.tiles:
            step(found.ref, tile)
    return Tally(tiles=len(found.plan.tiles))


def test_a_slide_prepared_twice_in_one_run_keeps_what_was_done(order: Order) -> None:
    first = prepare(replace(order, fresh=True))
    do_tiles(first)

    again = prepare(replace(order, fresh=True))

    assert again.ref == first.ref
    assert again.mapped == set(first.plan.tiles)
    assert set(again.recognised) == set(first.plan.tiles)


def test_a_fresh_run_drops_what_another_left(order: Order) -> None:
    do_tiles(prepare(order))

    found = prepare(replace(order, fresh=True, token="second"))

    assert not found.mapped
    assert not found.recognised
    assert not found.fitted
    assert [path.name for path in order.out.iterdir()] == [found.work.name]


@pytest.mark.parametrize("step", [map_tile, recognise_tile])
def test_a_task_of_an_earlier_run_ends(order: Order, step: Callable[..., object]) -> None:
    stale = prepare(order)
    fit(stale.ref, progress=tell)
    prepare(replace(order, token="second"))

    with pytest.raises(StaleError, match="another run has taken over"):
        step(stale.ref, stale.plan.tiles[0])


def test_a_finish_of_an_earlier_run_publishes_nothing(order: Order) -> None:
    stale = prepare(order)
    tally = do_tiles(stale)
    finish(stale.ref, tally)
    before = (order.out / "run.json").stat().st_mtime_ns
    prepare(replace(order, token="second"))

    with pytest.raises(StaleError):
        finish(stale.ref, tally)

    assert (order.out / "run.json").stat().st_mtime_ns == before


def test_a_finish_whose_slide_is_over_publishes_nothing(order: Order) -> None:
    found = prepare(order)
    tally = do_tiles(found)
    finish(found.ref, tally)
    shutil.rmtree(found.work)

    with pytest.raises(StaleError, match="gone"):
        finish(found.ref, tally)

    assert look_up(order).finished is not None
    assert not list(order.out.glob(".*"))


def test_two_finishing_passes_at_once_leave_one_whole_result(order: Order) -> None:
    found = prepare(order)
    tally = do_tiles(found)
    finish(found.ref, tally)
    expected, labels = cells_of(order.out), labels_of(order.out)

    (order.out / "run.json").unlink()
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda _: finish(found.ref, tally), range(4)))

    assert {report.cells for report in reports} == {len(expected)}
    assert cells_of(order.out).equals(expected)
    assert (labels_of(order.out) == labels).all()
    assert not list(order.out.glob(".draft-*"))


def test_a_late_fit_does_not_replace_the_one_in_use(order: Order) -> None:
    found = prepare(order)
    fit(found.ref, progress=tell)
    before = (found.work / "fit.pt").stat().st_mtime_ns

    fit(found.ref, progress=tell)

    assert (found.work / "fit.pt").stat().st_mtime_ns == before


def test_a_worker_closes_the_slides_it_is_done_with(tmp_path: Path) -> None:
    """Thousands of slides pass through a worker; it may keep two open."""
    image = read_rgb(he_field())[:512, :512]
    config = load_config("he", ("tiles.core_px=256", "tiles.block_px=256"))
    slides = [write_two_series(tmp_path / f"{name}.ome.tif", image) for name in "abcd"]
    for path in slides:
        do_tiles(prepare(Order(path, path.name, tmp_path / "out" / path.name, config, token="first")))

    still_open = {file.path for file in psutil.Process().open_files()}

    assert not still_open & {str(path) for path in slides[:2]}
    assert str(slides[3]) in still_open, "a worker keeps the slide that it is at"

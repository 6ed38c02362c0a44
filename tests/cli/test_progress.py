"""Progress on a terminal and in a log, from the events of runs and trainings."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from wsipsm.cli.progress import progress
from wsipsm.core.events import Event, SlideState


def test_lines_of_a_slide_follow_it_from_start_to_end() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    state = SlideState(Path("s.svs"), "s", Path("out/s"), "running", 4, 1, mm2=1.5, note="the slide changed")
    with progress(console) as on_event:
        on_event(Event("calibrating", state, step=1, steps=9))  # early, from another thread
        on_event(Event("started", state))
        for step in range(1, 10):
            on_event(Event("calibrating", state, step=step, steps=9))
        for tile in range(2, 5):
            on_event(Event("tile", replace(state, tiles_done=tile, cells=1000 * tile)))
        on_event(Event("assembling", replace(state, cells=4000)))
        ended = replace(state, status="done", cells=4000, seconds=7.0, warnings=("blurred [here]", "thick"))
        on_event(Event("ended", ended))

    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "s: the slide changed",
        "s: 1.50 mm², 4 tiles, 1 of them done",
        "s: calibrating, step 1 of 9",
        "s: 4 of 4 tiles, 4,000 cells",
        "s: writing the results of 4000 cells",
        "s: 4,000 cells in 1.50 mm², 7 s",
        "s: warning: blurred [here]",
        "s: warning: thick",
    ]


def test_slides_of_one_name_have_a_bar_each() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    first, second = (SlideState(Path("s.svs"), "s", Path(place) / "s", "running", 4) for place in ("a", "b"))
    with progress(console) as on_event:
        for state in (first, second):
            on_event(Event("started", state))
        first.cells, first.status = 11, "done"
        on_event(Event("ended", first))
        on_event(Event("calibrating", first, step=1, steps=2))  # late, from another thread
        second.cells, second.tiles_done = 22, 1
        on_event(Event("tile", second))
        console.file.truncate(0)
        on_event(Event("assembling", second))
        on_event._bars.refresh()
        shown = console.file.getvalue()
        on_event(Event("ended", second))

    assert "s: write" in shown, "the bar of the second is there after the first has ended"
    assert "22 cells" in shown
    assert "s: calibrate" not in shown, "the bar of the first is closed"
    assert console.file.getvalue().count("22 cells in 0.00 mm²") == 1


def test_a_slide_that_is_started_twice_has_one_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    state = SlideState(Path("s.svs"), "s", Path("out/s"), "running", 4)
    with progress(console) as on_event:
        for _ in range(2):
            on_event(Event("started", state))
        assert len(on_event._bars.task_ids) == 1
        on_event(Event("ended", replace(state, status="done")))
        assert on_event._bars.task_ids == []


def test_lines_of_a_training_have_stage_step_and_loss() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    with progress(console) as on_event:
        on_event(Event("stage", text="segmenter, round 0", steps=50))
        for step in range(1, 51):
            on_event(Event("step", text="segmenter, round 0", step=step, steps=50, loss=1 / step))
        on_event(Event("message", text="left out: a.svs: [no] tissue"))

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "segmenter, round 0: 1/50, loss 1.0000"
    assert lines[1] == "segmenter, round 0: 50/50, loss 0.0200"
    assert lines[2] == "left out: a.svs: [no] tissue"


def test_a_terminal_shows_a_bar_for_each_stage() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with progress(console) as on_event:
        on_event(Event("stage", text="fields", steps=2))
        on_event(Event("step", text="fields", step=2, steps=2))
        on_event(Event("stage", text="segmenter, round 0", steps=50))
        on_event(Event("step", text="segmenter, round 0", step=25, steps=50, loss=0.5))

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "fields" in shown
    assert "25/50, loss 0.5000" in shown

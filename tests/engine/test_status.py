"""Status of a run as people and programs read it, the event log, and the doctor."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers import forked
from tests.helpers.command import WSIPSM, wsipsm
from tests.helpers.slidegen import read_rgb
from wsipsm.config import load_config
from wsipsm.core.errors import InputError, OutputError
from wsipsm.core.events import Event, SlideState, ignore
from wsipsm.core.lock import locked
from wsipsm.engine.event_log import event_log
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.engine.status import read_status
from wsipsm.engine.tables import TableWriter
from wsipsm.slide.sample import he_field

SETTINGS = ("--slide-mpp", "0.25", "--workers", "1", "--set", "schedule.processes=false")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of two fields, one of them no image, with an event log beside it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "in").mkdir()
    Image.fromarray(read_rgb(he_field())[:320, :320]).save(folder / "in" / "good.png")
    (folder / "in" / "bad.png").write_text("no image")
    done = wsipsm("run", folder / "in", "-o", folder / "out", *SETTINGS, "--log-json", folder / "logs" / "run.json")
    assert done.returncode == 2, done.stderr
    assert "Dask dashboard: http://" in done.stderr
    return folder


def test_a_run_that_ended_is_told_with_every_slide(finished: Path) -> None:
    found = read_status(finished / "out")

    assert found.state == "ended"
    assert found.slides == {"failed": 1, "done": 1}
    assert found.tiles_done == found.tiles_total == 1
    assert found.seconds_left is None
    by_name = {row["slide_id"]: row for row in found.rows}
    assert by_name["good"]["cells"] == found.cells > 10
    assert "bad.png" in by_name["bad"]["error"]


def test_the_failed_table_has_reasons_and_tracebacks(finished: Path) -> None:
    with (finished / "out" / "failed.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert row["slide_id"] == "bad"
    assert "not a slide" in row["error"]
    assert "UnreadableSlideError" in row["traceback"]


def test_status_prints_a_table_and_json(finished: Path) -> None:
    table = wsipsm("status", finished / "out").stdout
    printed = wsipsm("status", finished / "out", "--json")

    assert "ended: 1 done, 1 failed" in " ".join(table.split())
    assert json.loads(printed.stdout)["slides"] == {"done": 1, "failed": 1}


def test_every_event_is_one_line_of_json(finished: Path) -> None:
    events = [json.loads(line) for line in (finished / "logs" / "run.json").read_text().splitlines()]

    of_good = [event["event"] for event in events if event.get("slide_id") == "good"]
    assert of_good == ["started", "tile", "assembling", "ended"]
    last = {event["slide_id"]: event for event in events if event["event"] == "ended"}
    assert last["good"]["status"] == "done"
    assert last["good"]["cells"] > 10
    assert "bad.png" in last["bad"]["error"]
    assert [event["time"] for event in events] == sorted(event["time"] for event in events)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the output folder of wsipsm run"):
        read_status(tmp_path)


def test_the_event_log_has_messages_and_the_steps_of_a_calibration(tmp_path: Path) -> None:
    state = SlideState(Path("a.svs"), "a", tmp_path / "a", "running", 4, 1, 90, 0.12345, 3.14159)
    with event_log(tmp_path / "logs" / "run.json") as on_event:
        on_event(Event("message", text="connected"))
        on_event(Event("calibrating", state, step=3, steps=20))
        on_event(Event("ended", replace(state, warnings=("blurred",))))

    message, step, ended = [json.loads(line) for line in (tmp_path / "logs" / "run.json").read_text().splitlines()]
    assert (message["event"], message["text"]) == ("message", "connected")
    assert step | {"time": ""} == {
        "time": "", "event": "calibrating", "slide": "a.svs", "slide_id": "a", "status": "running", "tiles_done": 1,
        "tiles_total": 4, "cells": 90, "mm2": 0.1235, "seconds": 3.14, "error": "", "step": 3, "steps": 20,
    }  # fmt: skip
    assert ended["warnings"] == ["blurred"]


def test_warnings_of_slides_are_a_column_before_the_folder(tmp_path: Path) -> None:
    state = SlideState(Path("a.svs"), "a", tmp_path / "a", "done", warnings=("blurred", "thick"))
    TableWriter(tmp_path, [state], ignore).write()

    (row,) = read_status(tmp_path).rows
    assert row["warnings"] == "blurred; thick"
    assert list(row)[-2:] == ["warnings", "out"]


def test_an_event_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"), event_log(tmp_path):
        pass


def test_the_time_left_of_a_resumed_run_counts_its_own_tiles(tmp_path: Path) -> None:
    """900 of 1000 tiles were there, 10 came in the minute since: 90 take 9 minutes."""
    done, now = tmp_path / "out" / "d", tmp_path / "out" / "r"
    states = [
        SlideState(Path("d.svs"), "d", done, "done", 5000, 5000, seconds=300, found_done=True),
        SlideState(Path("r.svs"), "r", now, "running", 1000, 900),
    ]
    (tmp_path / "out").mkdir()
    tables = TableWriter(tmp_path / "out", states, ignore)
    for states[1].tiles_done in (900, 905):  # started again, as its first task was lost with a worker
        tables(Event("started", states[1]))
    states[1].tiles_done = 910
    tables.write()
    file = tmp_path / "out" / ".wsipsm.run.json"
    run = json.loads(file.read_text())
    began = datetime.fromisoformat(run["updated"]) - timedelta(minutes=1)
    file.write_text(json.dumps(run | {"began": began.isoformat()}))

    with locked(tmp_path / "out"):
        assert read_status(tmp_path / "out").seconds_left == 540


def test_ctrl_c_ends_watching_and_speaks_of_no_run(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    file = tmp_path / "out" / ".wsipsm.run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"ended": False}))
    with locked(tmp_path / "out"):
        screen, terminal = os.openpty()
        command = [WSIPSM, "status", tmp_path / "out", "--watch"]
        watching = subprocess.Popen(command, stdout=terminal, stderr=subprocess.PIPE, text=True)
        os.close(terminal)
        shown = b""
        while b"running: 1 done, 1 failed" not in shown:
            shown += os.read(screen, 4096)
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=30)
        os.close(screen)

    assert watching.returncode == 0
    assert errors == ""


def test_tables_that_cannot_be_written_are_said_once_and_end_nothing(tmp_path: Path) -> None:
    events = list[Event]()
    tables = TableWriter(tmp_path / "gone", [SlideState(Path("d.svs"), "d")], events.append)
    tables.write()
    tables.write()
    assert len(events) == 1
    assert "the tables cannot be written now" in events[0].text

    (tmp_path / "gone").mkdir()
    tables.write(ended=True)

    assert read_status(tmp_path / "gone").slides == {"waiting": 1}


HEADER = "slide,slide_id,status,tiles_done,tiles_total,cells,mm2,seconds,error,out\n"
GOOD_ROW = "a.svs,a,done,4,4,90,0.5,3.25,,out/a\n"


@pytest.mark.parametrize(
    "row",
    [
        "b.svs,b,running,many,9,1,0.5,2,,out/b\n",
        'b.svs,b,running,1,9,1,"0,5",2,,out/b\n',
        "b.svs,b,running,1,9,nan,0.5,2,,out/b\n",
        "b.svs,b,running,1,9,1,inf,2,,out/b\n",
        "b.svs,b,run",
        "b.svs,b\n",
    ],
)
def test_a_row_that_cannot_be_read_is_shown_as_unknown(tmp_path: Path, row: str) -> None:
    (tmp_path / "slides.csv").write_text(HEADER + GOOD_ROW + row)

    found = read_status(tmp_path)
    printed = wsipsm("status", tmp_path).stdout

    assert found.slides == {"done": 1, "unknown": 1}
    assert (found.tiles_done, found.tiles_total, found.cells, found.mm2) == (4, 4, 90, 0.5)
    assert found.rows[1]["slide_id"] == "b"
    assert "1 unknown" in printed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no row"),
        (HEADER.encode(), "no row"),
        (b"slide,slide_id\na.svs,a\n", "no column status, tiles_done"),
        ((HEADER + GOOD_ROW).replace(",", ";").encode(), "no column slide"),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "slides.csv").write_bytes(content)

    with pytest.raises(InputError, match=f"slides.csv: {message}.*somebody changed the table; delete it") as caught:
        read_status(tmp_path)

    assert "\n" not in str(caught.value)


def test_a_table_that_a_spreadsheet_program_wrote_is_read(tmp_path: Path) -> None:
    row = GOOD_ROW.replace("3.25,,", "3.25,0.25 \u00b5m,")
    for encoding in ("utf-8-sig", "latin-1"):
        (tmp_path / "slides.csv").write_bytes((HEADER + row).encode(encoding))

        assert read_status(tmp_path).slides == {"done": 1}
        assert read_status(tmp_path).rows[0]["slide"] == "a.svs"


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        '{"ended": false, "began": "then", "updated": "now", "tiles": 1, "host": "h"}',
        '{"ended": false, "began": "2026-01-01", "updated": "2026-01-01", "tiles": 1, "host": "h"}',
        '{"ended": false, "began": "2026-01-01T00:00:00+00:00", "updated": "2026-01-01T00:00:00+00:00", "host": "h"}',
    ],
)
def test_a_record_of_the_run_that_cannot_be_read_is_passed_over(tmp_path: Path, record: str, held: bool) -> None:
    (tmp_path / "slides.csv").write_text(HEADER + "b.svs,b,running,1,9,1,0.5,2,,out/b\n")
    (tmp_path / ".wsipsm.run.json").write_text(record)

    with locked(tmp_path) if held else contextlib.nullcontext():
        found = read_status(tmp_path)

    assert found.state == ("running" if held else "interrupted")
    assert found.run == {}
    assert found.seconds_left is None


def test_a_run_is_seen_running_and_then_interrupted(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = load_config("he", ("tiles.core_px=128", "schedule.workers=1", "schedule.processes=false"))
    process = forked.start(run, Request([str(slide)], out, config))
    running = None
    while process.is_alive() and (running is None or running.tiles_done < 4):
        time.sleep(0.05)
        running = read_status(out) if (out / "slides.csv").exists() else None
    process.kill()
    process.join()
    killed = read_status(out)

    assert running is not None
    assert 4 <= running.tiles_done < 100, "seen midway"
    assert running.state == "running"
    assert running.slides == {"running": 1}
    assert running.tiles_total == 100
    assert running.seconds_left is not None
    assert running.seconds_left > 0
    assert running.run["pid"] == process.pid
    assert killed.state == "interrupted"
    assert killed.seconds_left is None


def test_the_doctor_finds_a_machine_well(tmp_path: Path) -> None:
    done = wsipsm("doctor", "-o", tmp_path / "out")

    assert done.returncode == 0, done.stdout
    names = [line.split(":")[0].removeprefix("ok").strip() for line in done.stdout.splitlines()]
    assert names == ["versions", "devices", "OpenSlide", "disk", "output folder", "Dask", "self-test"]
    assert "cells in a field of 1000 x 1000 px" in done.stdout


def test_the_doctor_names_what_is_wrong_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")

    done = wsipsm("doctor", "-o", tmp_path / "out", "--scheduler", tmp_path / "none.json", "--json")

    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert "cannot be written" in checks["output folder"]["found"]
    assert "a scheduler file that exists" in checks["Dask"]["found"]
    assert checks["self-test"]["good"]

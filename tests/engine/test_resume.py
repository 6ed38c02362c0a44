"""What earlier runs left of a slide: done, begun afresh and why, another slide's; and killed runs that go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.killed import killed_midway
from tests.helpers.results import QUICK_FIT, cells_of, labels_of, run_slide
from tests.helpers.slidegen import read_rgb
from wsipsm.cli.progress import summary
from wsipsm.config import load_config
from wsipsm.core.events import Event, SlideState
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request, slide_tasks
from wsipsm.engine.resume import look_up
from wsipsm.engine.status import read_status
from wsipsm.slide import fingerprint_of
from wsipsm.slide.sample import he_field

CUT = "tiles.core_px=256"
THREADS = ("schedule.workers=1", "schedule.processes=false")


def field(path: Path, x: int) -> Path:
    Image.fromarray(read_rgb(he_field())[:320, x : x + 320]).save(path)
    return path


def run_field(
    slide: Path, out: Path, *settings: str, slide_mpp: float = 0.25, fresh: bool = False
) -> tuple[SlideState, list[str]]:
    config, events = load_config("he", (*THREADS, *settings)), list[Event]()
    (state,) = run(Request([str(slide)], out, config, slide_mpp=slide_mpp, fresh=fresh), events.append)
    assert state.status == "done", state.error
    return state, [event.slide.note for event in events if event.kind == "started" and event.slide]


def test_a_finished_slide_is_not_begun_again(tmp_path: Path) -> None:
    slide = field(tmp_path / "s.png", 0)
    first, _ = run_field(slide, tmp_path / "out")

    second, begun = run_field(slide, tmp_path / "out", "schedule.in_flight_per_worker=5", "tiles.order=random")

    assert begun == []
    assert (second.cells, second.mm2, second.tiles_total) == (first.cells, first.mm2, first.tiles_total)
    assert second.seconds > 0, "those of the run that did it"
    assert summary(second).endswith(", already done")


@pytest.mark.parametrize(
    ("settings", "slide_mpp", "why"),
    [
        (("labels.split_height=0.3",), 0.25, "the configuration changed since the last run (labels.split_height)"),
        ((), 0.3, "the resolution or the version changed"),
    ],
)
def test_another_configuration_begins_afresh_and_says_so(
    tmp_path: Path, settings: tuple[str, ...], slide_mpp: float, why: str
) -> None:
    slide = field(tmp_path / "s.png", 0)
    run_field(slide, tmp_path / "out")

    _, begun = run_field(slide, tmp_path / "out", *settings, slide_mpp=slide_mpp)

    assert len(begun) == 1
    assert why in begun[0]
    assert begun[0].endswith("begun afresh")


def test_another_slide_under_the_same_path_begins_afresh(tmp_path: Path) -> None:
    slide = field(tmp_path / "s.png", 0)
    first, _ = run_field(slide, tmp_path / "out")
    before = cells_of(first.out)
    field(slide, 400)

    second, begun = run_field(slide, tmp_path / "out")

    assert begun == ["the slide changed since the last run: begun afresh"]
    assert second.slide_id == "s"
    assert not cells_of(second.out).equals(before)


def test_a_slide_that_was_only_touched_is_the_same(tmp_path: Path) -> None:
    slide = field(tmp_path / "s.png", 0)
    run_field(slide, tmp_path / "out")
    os.utime(slide, (1, 1))

    _, begun = run_field(slide, tmp_path / "out")

    assert begun == []


def test_fresh_does_everything_again_without_a_reason(tmp_path: Path) -> None:
    slide = field(tmp_path / "s.png", 0)
    first, _ = run_field(slide, tmp_path / "out")
    for name in ("calibration.pt", "fit.pt"):  # in earlier versions
        (first.out / name).write_bytes((first.out / "calibration.safetensors").read_bytes())

    _, begun = run_field(slide, tmp_path / "out", fresh=True)

    assert begun == [""]
    assert [path.name for path in first.out.iterdir() if path.suffix in (".pt", ".safetensors")] == [
        "calibration.safetensors"
    ]


def test_a_slide_that_cannot_be_looked_at_fails_alone(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    slide = field(archive / "s.png", 0)
    run_field(slide, tmp_path / "out")
    slide.unlink()
    slide.symlink_to(slide)  # a link to itself: listed, and not to be opened
    field(archive / "t.png", 0)

    request = Request([str(archive)], tmp_path / "out", load_config("he", THREADS), slide_mpp=0.25)
    states = run(request)

    assert [state.status for state in states] == ["failed", "done"]
    assert "Too many levels of symbolic links" in states[0].error


def ids(out: Path, *inputs: Path) -> list[str]:
    """Folders that slides would get."""
    return [task.slide_id for task in slide_tasks(Request([str(path) for path in inputs], out, load_config("he")))]


def test_a_slide_of_the_same_name_that_joins_later_leaves_the_first_where_it_is(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    first, second = field(tmp_path / "a" / "x.png", 0), field(tmp_path / "b" / "x.png", 400)
    together = ids(tmp_path / "out", first, second)
    assert len(set(together)) == 2
    assert "x" not in together, "neither was there first"
    run_field(first, tmp_path / "out")

    assert ids(tmp_path / "out", first, second) == ["x", together[1]]


def test_a_name_that_a_manifest_gives_is_kept(tmp_path: Path) -> None:
    field(tmp_path / "b.png", 0)
    field(tmp_path / "q.png", 400)
    (tmp_path / "m.csv").write_text("slide,id\nb.png,\nq.png,b\n")

    first, second = ids(tmp_path / "out", tmp_path / "m.csv")

    assert second == "b"
    assert first.startswith("b-")


def test_one_slide_under_two_names_has_two_rows(tmp_path: Path) -> None:
    field(tmp_path / "s.png", 0)
    config = load_config("he", THREADS)
    for name in ("one", "two"):
        (tmp_path / "m.csv").write_text(f"slide,id,mpp\ns.png,{name},0.25\n")
        run(Request([str(tmp_path / "m.csv")], tmp_path / "out", config))

    rows = read_status(tmp_path / "out").rows

    assert [(row["slide_id"], row["status"]) for row in rows] == [("one", "done"), ("two", "done")]
    assert [row["out"] for row in rows] == [str(tmp_path / "out" / name) for name in ("one", "two")]


def test_a_killed_run_goes_on_and_ends_like_an_undisturbed_one(slide: Path, whole: Path, tmp_path: Path) -> None:
    settings = ["--set", CUT, "--set", QUICK_FIT, "--workers", "2"]

    before = killed_midway(slide, tmp_path, "--encoder", whole / "calibration.safetensors", *settings)
    assert 3 <= len(before) < 25, "killed midway"
    again = run_slide(slide, tmp_path, CUT, QUICK_FIT, encoder=whole / "calibration.safetensors")

    assert cells_of(again).equals(cells_of(whole))
    np.testing.assert_array_equal(labels_of(again), labels_of(whole))
    assert not list(again.glob(".*")), "no scratch left"


def test_the_client_of_a_run_does_without_pytorch(tmp_path: Path) -> None:
    """It takes a second to import and half a gigabyte; only workers compute."""
    code = (
        "import sys; from wsipsm.cli.main import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'sklearn', 'skimage', 'zarr', 'tiatoolbox'} & sys.modules.keys()\n"
    )
    slide = field(tmp_path / "s.png", 0)
    command = [sys.executable, "-c", code, "run", slide, "-o", tmp_path, "--workers", "1", "--slide-mpp", "0.25"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(cells_of(tmp_path / "s")) > 10


def test_a_record_of_an_earlier_version_is_not_taken_for_another_configuration(tmp_path: Path) -> None:
    slide, out = field(tmp_path / "s.png", 0), tmp_path / "out"
    (task,) = slide_tasks(Request([str(slide)], out, load_config("he", THREADS), slide_mpp=0.25))
    config = task.config.model_dump(mode="json")
    config["segmenter"]["depth_smoothing_um"] = config["segmenter"].pop("distance_smoothing_um")
    config["labels"] |= {"split": "depth", "split_depth": config["labels"].pop("split_height")}
    source = {"path": str(slide), "fingerprint": fingerprint_of(slide)}
    record = {"digest": "of then", "config": config, "slide": source}
    task.out.mkdir(parents=True)
    (task.out / "run.json").write_text(json.dumps(record))

    assert look_up(task).note.endswith("or the version changed since the last run: begun afresh")

"""The command line as a user meets it: its exit code and what it prints."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.engine.test_damage import damage
from tests.helpers.command import Done, wsipsm, wsipsm_process
from tests.helpers.slidegen import write_slide
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

THREADS = ("--set", "schedule.workers=1", "--set", "schedule.processes=false")


def assert_refused(done: Done, *expected: str) -> None:
    """One line beside those of the cluster, exit code 1, no traceback."""
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    beside = "Dask dashboard: ", "workers are starting; "
    message = next(line for line in done.stderr.splitlines() if not line.startswith(beside))
    for part in expected:
        assert part in message, message


@pytest.fixture(scope="module")
def white_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("white") / "white.tiff", np.full((600, 800, 3), 243, np.uint8), mpp=0.25)


@pytest.fixture(scope="module")
def roi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("roi") / "roi.geojson"
    ring = [[9000, 9000], [9900, 9000], [9900, 9900], [9000, 9000]]
    path.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    return path


@pytest.mark.parametrize("command", ["run", "info", "demo", "evaluate"])
def test_help_teaches(command: str) -> None:
    done = wsipsm(command, "--help")

    assert done.returncode == 0
    assert "--" in done.stdout


def test_a_slide_without_tissue_is_a_success_that_says_so(white_slide: Path, tmp_path: Path) -> None:
    done = wsipsm("run", white_slide, "-o", tmp_path / "out", *THREADS)

    assert done.returncode == 0, done.stderr
    assert "no tissue" in done.stderr
    results = tmp_path / "out" / "white"
    record = json.loads((results / "run.json").read_text())
    assert record["status"] == "empty"
    assert record["counts"]["cells"] == 0
    assert (results / "cells.geojson.gz").exists()
    assert (results / "cells.parquet").exists()
    (reason,) = record["warnings"]
    assert "the picture is glass all over" in reason
    assert f"white: warning: {reason}" in done.stderr
    again = wsipsm("run", white_slide, "-o", tmp_path / "out", "--workers", "1")
    assert f"white: warning: {reason}" in again.stderr, "found done, it still says why"
    with (tmp_path / "out" / "slides.csv").open(newline="") as table:
        assert [row["warnings"] for row in csv.DictReader(table)] == [reason]
    assert f"white: warning: {reason}" in " ".join(wsipsm("status", tmp_path / "out").stdout.split())


def test_tissue_without_cells_says_so_and_where_to_look(tmp_path: Path) -> None:
    light = np.random.default_rng(0).normal(0, 6, (60, 60, 1)).repeat(10, axis=0).repeat(10, axis=1)
    fibres = np.clip(light + np.array([245, 225, 235]), 0, 255).astype(np.uint8)

    slide = write_slide(tmp_path / "fibres.tiff", fibres, mpp=0.25)
    done = wsipsm("run", slide, "-o", tmp_path / "out", "--workers", "1", "--set", "cells.min_area_um2=5000")

    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "fibres" / "run.json").read_text())
    assert (record["status"], record["counts"]["cells"]) == ("done", 0)
    assert "fibres: warning: no cells found in 0.0225 mm² (is 0.25 µm/px right, see --slide-mpp" in done.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert_refused(wsipsm_process("run", tmp_path / "none.svs", "-o", tmp_path / "out"), "none.svs")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_slides_is_named(tmp_path: Path) -> None:
    assert_refused(wsipsm("run", tmp_path, "-o", tmp_path / "out"), str(tmp_path))


def test_an_unknown_key_gets_a_suggestion(white_slide: Path, tmp_path: Path) -> None:
    done = wsipsm("run", white_slide, "-o", tmp_path / "out", "--set", "tiles.core_pxx=512")

    assert_refused(done, "did you mean 'core_px'")


def test_a_text_stub_with_a_slide_s_name_is_refused_and_listed(tmp_path: Path) -> None:
    stub = tmp_path / "stub.ndpi"
    stub.write_text("version https://git-lfs.github.com/spec/v1\n")

    done = wsipsm("run", stub, "-o", tmp_path / "out", *THREADS)

    assert_refused(done, "stub.ndpi")
    assert "stub.ndpi" in (tmp_path / "out" / "failed.csv").read_text()
    assert not list((tmp_path / "out").glob("stub/*"))


def test_a_slide_without_resolution_says_how_to_give_it(tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(tmp_path / "plain.png")

    assert_refused(wsipsm("run", tmp_path / "plain.png", "-o", tmp_path / "out", *THREADS), "plain.png", "--slide-mpp")


def test_info_describes_a_slide_without_resolution_too(tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 400, 3), 200, np.uint8)).save(tmp_path / "plain.png")

    facts = json.loads(wsipsm("info", tmp_path / "plain.png", "--json").stdout)

    assert facts["width_l0"] == 400
    assert facts["mpp_l0"] is None
    assert "--slide-mpp" in facts["mpp_source"]


def test_info_estimates_the_resolution_of_a_slide_that_does_not_say(tmp_path: Path) -> None:
    shutil.copy(he_field(), tmp_path / "field.png")

    facts = json.loads(wsipsm("info", tmp_path / "field.png", "--estimate-mpp", "--json").stdout)

    estimate = facts["mpp_by_nuclei"]
    assert facts["mpp_l0"] is None
    assert estimate["mpp_l0"] == pytest.approx(HE_FIELD_MPP, rel=0.25)
    assert estimate["low"] < estimate["mpp_l0"] < estimate["high"]


def test_info_says_why_there_is_no_estimate(white_slide: Path) -> None:
    done = wsipsm("info", white_slide, "--estimate-mpp", "--json")

    assert done.returncode == 0
    assert "tissue" in json.loads(done.stdout)["mpp_by_nuclei"]


def test_a_slide_coarser_than_the_working_resolution_gets_advice(tmp_path: Path) -> None:
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(tmp_path / "plain.png")

    done = wsipsm("run", tmp_path / "plain.png", "-o", tmp_path / "out", "--slide-mpp", "1.0", *THREADS)

    assert_refused(done, "--mpp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "roi.geojson"),
        ("no json", "roi.geojson"),
        ('{"type": "FeatureCollection", "features": []}', "roi.geojson"),
    ],
)
def test_a_bad_roi_is_refused(white_slide: Path, tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "roi.geojson").write_text(text)

    done = wsipsm("run", white_slide, "-o", tmp_path / "out", "--roi", tmp_path / "roi.geojson")

    assert_refused(done, expected)


def test_a_roi_outside_the_slide_is_refused(white_slide: Path, roi: Path, tmp_path: Path) -> None:
    done = wsipsm("run", white_slide, "-o", tmp_path / "out", "--roi", roi, *THREADS)

    assert_refused(done, "outside")


def test_an_output_folder_that_is_a_file_is_refused(white_slide: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here already")

    assert_refused(wsipsm("run", white_slide, "-o", tmp_path / "out"), "out", "cannot be written")


def test_a_checkpoint_of_another_kind_is_refused(white_slide: Path, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"PK not a checkpoint")

    assert_refused(wsipsm("run", white_slide, "-o", tmp_path / "out", "--encoder", tmp_path / "x.pt"), "x.pt")


def test_a_device_that_is_not_there_is_refused(white_slide: Path, tmp_path: Path) -> None:
    assert_refused(
        wsipsm("run", white_slide, "-o", tmp_path / "out", "--device", "tpu"),
        "'tpu' is not one of 'auto', 'cpu', 'cuda'",
    )


def test_a_dry_run_writes_nothing(white_slide: Path, tmp_path: Path) -> None:
    done = wsipsm("run", white_slide, "-o", tmp_path / "out", "--dry-run")

    assert done.returncode == 0
    assert "0 tiles" in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_bad_slide_does_not_stop_the_good_one(white_slide: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"II*\0 truncated")

    done = wsipsm("run", bad, white_slide, "-o", tmp_path / "out", *THREADS)

    assert done.returncode == 2
    rows = (tmp_path / "out" / "slides.csv").read_text().splitlines()
    assert [row.split(",")[2] for row in rows[1:]] == ["failed", "empty"]


def test_info_prints_json(white_slide: Path) -> None:
    done = wsipsm("info", white_slide, "--json")

    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert facts["mpp_l0"] == pytest.approx(0.25)


def test_a_damaged_slide_ends_incomplete_without_a_traceback(slide: Path, whole: Path, tmp_path: Path) -> None:
    damaged = shutil.copy(slide, tmp_path / "mosaic.tiff")
    damage(damaged, 2400, 2400)
    settings = ["--set", "tiles.core_px=512", "--workers", "1", "--encoder", whole / "calibration.safetensors"]

    done = wsipsm_process("run", damaged, "-o", tmp_path / "out", *settings)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "of 9 tiles failed" in done.stderr

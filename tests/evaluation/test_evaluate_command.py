"""``wsipsm evaluate`` as a user meets it, and the report and pictures it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_cli import assert_refused
from tests.helpers.command import wsipsm
from wsipsm.cli.evaluate import _fitting
from wsipsm.evaluation import Scores
from wsipsm.evaluation.picture import FALSE_ALARM, HIT, MISS, draw
from wsipsm.evaluation.report import COLUMNS

TRUTH = np.zeros((40, 50), np.uint16)
TRUTH[4:12, 4:12], TRUTH[20:30, 20:30] = 1, 2
FOUND = np.zeros_like(TRUTH)
FOUND[4:12, 4:12], FOUND[30:36, 40:46] = 7, 9


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Folders found, truth and images of the images a, b and c."""
    for folder in ("found", "truth", "images"):
        (tmp_path / folder).mkdir()
    for name, found in (("a", FOUND), ("b", TRUTH), ("c", FOUND)):
        Image.fromarray(TRUTH).save(tmp_path / "truth" / f"{name}.png")
        Image.fromarray(found).save(tmp_path / "found" / f"{name}.png")
        Image.fromarray(np.full((40, 50, 3), 90, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "groups.csv").write_text("name,group\na,breast\nb,breast\nc,liver\n")
    return tmp_path


def test_report_table_and_pictures(data: Path) -> None:
    done = wsipsm(
        "evaluate", data / "found", data / "truth", "-o", data / "report.json", "--groups", data / "groups.csv",
        "--picture", data / "pictures", "--images", data / "images", "--protocol", "paper",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "image", "a", "b", "c", "breast (2)", "liver (1)", "mean (3)", "95 % from", "95 % to",
    ]  # fmt: skip
    assert "AJI (paper)" in lines[0]
    report = json.loads((data / "report.json").read_text())
    aji = 64 / (64 + 100 + 36)
    assert [one["scores"]["aji"] for one in report["images"]] == pytest.approx([aji, 1, aji])
    assert report["mean"]["aji"] == pytest.approx((1 + 2 * aji) / 3)
    assert report["interval"]["aji"] == pytest.approx([aji, 1])
    assert report["groups"]["breast"] == {"images": 2, "mean": report["groups"]["breast"]["mean"]}
    assert report["groups"]["breast"]["mean"]["aji"] == pytest.approx((1 + aji) / 2)
    assert set(report["mean"]) == set(Scores.__dataclass_fields__)
    assert report["images"][0]["paper"]["n_true"] == 2
    assert report["command"][:2] == ["wsipsm", "evaluate"]
    assert {"wsipsm", "numpy"} <= report["versions"].keys()
    picture = np.asarray(Image.open(data / "pictures" / "a.png"))
    assert [tuple(picture[y, x]) for y, x in ((4, 4), (20, 20), (30, 40), (0, 0))] == [
        HIT,
        MISS,
        FALSE_ALARM,
        (90,) * 3,
    ]


def test_json_is_all_that_is_printed_and_what_is_left_out_is_named(data: Path) -> None:
    (data / "found" / "b.png").unlink()
    (data / "truth" / "c.png").unlink()

    refused = wsipsm("evaluate", data / "found", data / "truth")
    done = wsipsm("evaluate", data / "found", data / "truth", "--allow-missing", "--json")

    assert_refused(refused, "1 of 2 truths have no prediction: b", "--allow-missing")
    report = json.loads(done.stdout)
    assert (report["missing"], report["unused"], report["interval"]) == (["b"], ["c"], None)
    assert "1 left out without a prediction: b" in done.stderr
    assert "1 left out without a ground truth: c" in done.stderr


def test_mistakes_end_in_one_line(data: Path) -> None:
    (data / "empty").mkdir()
    (data / "bad.csv").write_text("image,organ\na,breast\n")
    good = (data / "found", data / "truth")

    assert_refused(wsipsm("evaluate", data / "empty", data / "truth"), "the folder is empty")
    assert_refused(wsipsm("evaluate", data / "images", data / "truth"), "a.png", "RGB image")
    assert_refused(wsipsm("evaluate", *good, "--images", data / "truth"), "is --images a folder of labels?")
    assert_refused(wsipsm("evaluate", *good, "--groups", data / "bad.csv"), "columns name and group")
    assert_refused(wsipsm("evaluate", *good, "--downsample", "2"), "a: shapes differ")


def test_pictures_on_white_without_images() -> None:
    picture = draw(TRUTH, FOUND)

    assert tuple(picture[25, 25]) == (255, 255, 255)  # outlines only
    counts = [int((picture == color).all(axis=2).sum()) for color in (HIT, MISS, FALSE_ALARM)]
    assert counts == [28, 36, 20]


def test_a_narrow_window_drops_columns_and_cuts_no_number() -> None:
    headings = ["image", *COLUMNS.values()]
    rows = [["TCGA-BC-A217-01Z-00-DX1", *["0.5801"] * len(COLUMNS)]]

    wide, narrow = (_fitting(headings, rows, width) for width in (200, 80))

    assert wide == list(range(len(headings)))
    assert [headings[number] for number in narrow] == ["image", "AJI", "AJI+", "PQ", "px F1", "true", "found"]


def test_scoring_needs_no_torch() -> None:
    code = (
        "import sys, wsipsm.evaluation.report, wsipsm.engine.maps, wsipsm.results.formats.geoparquet\n"
        "sys.exit(bool({'torch', 'dask', 'tiatoolbox'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

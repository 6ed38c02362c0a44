"""``wsipsm evaluate`` with a ground truth of points, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_cli import assert_refused
from tests.evaluation.test_points import write_run
from tests.helpers.command import wsipsm
from wsipsm import api
from wsipsm.cli.evaluate import _fitting
from wsipsm.evaluation.detection_table import COLUMNS, DROPPED_FIRST
from wsipsm.evaluation.picture import MISS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Runs of the images a and b at 0.25 um/px, with cells at x = 0, 10, 20 and y = 5, and truth.csv of both."""
    write_run(tmp_path / "out" / "a", stem="a", names=["Positive", "Negative", "Doubtful"])
    write_run(tmp_path / "out" / "b", stem="b", names=["2+", "Positive", "Nucleus"])
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.full((80, 100, 3), 90, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "truth.csv").write_text(
        "image,x,y,class\na,0,5,Positive\na,0,5,Positive\na,10,16,Negative\na,90,70,Negative\n"
        "b,0,5,Positive\nb,10,5,Negative\nb,20,5,Stroma\n"
    )
    return tmp_path


def test_report_tables_and_pictures(data: Path) -> None:
    done = wsipsm(
        "evaluate", data / "out", data / "truth.csv", "-o", data / "report.json", "--picture", data / "pictures",
        "--images", data / "images",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    lines = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert lines[:8] == [
        "image", "a", "b", "all (2) at 6 um", "95 % from", "95 % to", "all at 3.1 um", "all at 2.5 um",
    ]  # fmt: skip
    assert {"MP", "MN", "MA", "index: bias", "index: same side of 20 %"} <= set(lines)
    assert "unknown classes of the truth, counted regardless of class alone: Stroma (1)" in done.stderr
    assert "they lie on another of their class: 1" in done.stderr
    report = json.loads((data / "report.json").read_text())
    assert (report["kind"], report["repeated"], report["command"][:2]) == ("points", 1, ["wsipsm", "evaluate"])
    pooled = {one["radius_um"]: one["scores"] for one in report["pooled"]}
    # The negative cell of a is 11 px, 2.75 um, from its mark.
    assert [pooled[radius]["negative"]["hits"] for radius in (6, 3.1, 2.5)] == [1, 1, 0]
    assert pooled[6]["positive"] == {
        "precision": pytest.approx(2 / 3), "recall": 1, "f1": pytest.approx(0.8), "hits": 2, "n_true": 2, "n_found": 3,
    }  # fmt: skip
    assert (pooled[6]["detection"]["hits"], pooled[6]["wrong_class"]) == (5, 1)
    picture = np.asarray(Image.open(data / "pictures" / "a.png"))
    assert MISS in {tuple(color) for color in picture[55:, 75:].reshape(-1, 3).tolist()}


def test_the_size_of_a_pixel(data: Path) -> None:
    (data / "found.csv").write_text("image,x,y,class\na,0,17,Positive\nb,0,5,Negative\n")

    refused = wsipsm("evaluate", data / "found.csv", data / "truth.csv")
    reports = [api.evaluate(data / "found.csv", data / "truth.csv", truth_mpp=mpp, radius_um=6) for mpp in (0.5, 0.51)]
    overruled = api.evaluate(data / "out", data / "truth.csv", truth_mpp=10)

    assert_refused(refused, "a: how large a pixel of the truth is", "--truth-mpp")
    assert [one["pooled"][0]["scores"]["positive"]["hits"] for one in reports] == [1, 0]
    assert overruled["pooled"][0]["scores"]["negative"]["hits"] == 0


def test_predictions_equal_to_the_truth_are_perfect(data: Path) -> None:
    report = api.evaluate(data / "truth.csv", data / "truth.csv", truth_mpp=0.25)

    scores = report["pooled"][0]["scores"]
    # The repeated mark is one cell of the truth, and a false alarm of the prediction.
    assert [scores[row]["f1"] for row in ("positive", "negative")] == pytest.approx([4 / 5, 1])
    assert report["index"]["cut_offs"]["5"] == {"same_side": 1, "kappa": None}


def test_options_that_do_not_go_with_the_truth(data: Path) -> None:
    points = (data / "out", data / "truth.csv")
    Image.fromarray(np.eye(9, dtype=np.uint16)).save(data / "area.png")
    areas = (data / "area.png", data / "area.png")

    assert_refused(wsipsm("evaluate", *points, "--protocol", "paper"), "protocol paper is for a ground truth of areas")
    assert_refused(wsipsm("evaluate", *points, "--downsample", "2"), "downsample is for a ground truth of areas")
    assert_refused(wsipsm("evaluate", *areas, "--radius-um", "3"), "for a ground truth of points")
    assert_refused(wsipsm("evaluate", *points, "--radius-um", "0"), "radius_um 0.0: expected a positive number")
    (data / "truths").mkdir()
    (data / "area.png").rename(data / "truths" / "a.png")
    (data / "truth.csv").rename(data / "truths" / "b.csv")
    assert_refused(wsipsm("evaluate", data / "out", data / "truths"), "mixes points and areas")


def test_a_narrow_window_keeps_f1() -> None:
    headings = ["image", *COLUMNS]
    rows = [["all (10) at 6 um", *["0.8123"] * len(COLUMNS)]]

    shown = _fitting(headings, rows, 80, DROPPED_FIRST)

    assert {"pos. F1", "neg. F1", "mean F1", "det. F1"} <= {headings[number] for number in shown}


def test_label_images_are_compared_by_their_centroids(tmp_path: Path) -> None:
    labels = np.zeros((100, 100), np.uint16)
    labels[10:20, 10:20], labels[40:44, 60:70], labels[90:92, 2:4] = 700, 2, 5
    (tmp_path / "found").mkdir()
    Image.fromarray(labels).save(tmp_path / "found" / "a.png")
    (tmp_path / "truth.csv").write_text("image,x,y\na,15,15\na,65,42\na,80,80\n")

    done = wsipsm("evaluate", tmp_path / "found", tmp_path / "truth.csv", "--truth-mpp", "1", "--radius-um", "0.01")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split() == ["a", "0.6667", "0.6667", "0.6667", "3", "3"]
    (tmp_path / "found" / "a.csv").write_text("x,y\n15,15\n")  # points go before what lies beside them
    again = wsipsm("evaluate", tmp_path / "found", tmp_path / "truth.csv", "--truth-mpp", "1")
    assert again.stdout.splitlines()[1].split()[-2:] == ["3", "1"]


def test_a_picture_is_not_taken_for_a_label_image(data: Path) -> None:
    done = wsipsm("evaluate", data / "images", data / "truth.csv", "--truth-mpp", "0.25")

    assert_refused(done, "not a label image: it is an RGB image")

"""``wsipsm index`` on made-up output folders."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import shapely

import wsipsm as package
from tests.helpers.command import wsipsm
from tests.helpers.marked_slides import marked_cells, random_cells, roi_file, write_marked_slide
from tests.helpers.qupath import read_annotations_as_qupath


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_marked_slide(tmp_path / "out" / name, marked_cells(*random_cells()))
    return tmp_path / "out"


def test_the_table_shows_slides_and_hot_spots(out: Path) -> None:
    done = wsipsm("index", out, "--hot-spot-cells", "50")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Slide") == 2
    assert done.stdout.count("Hot spot 5") == 2


def test_where_there_is_no_hot_spot_it_says_so(out: Path) -> None:
    done = wsipsm("index", out / "a", "--hot-spot-cells", "5000")

    assert "No hot spot" in done.stdout


def test_json_csv_and_the_python_interface_tell_the_same(out: Path, tmp_path: Path) -> None:
    roi = roi_file(tmp_path / "roi.geojson", ("Tumour", shapely.box(1000, 700, 2400, 1800)))
    options = ("--roi", roi, "--hot-spot-mm2", "0.05", "--hot-spot-cells", "20", "-o", tmp_path / "t.csv", "--json")

    done = wsipsm("index", out / "a", *options)

    (slide,) = json.loads(done.stdout)
    assert [slide] == package.index(out / "a", roi=roi, hot_spot_mm2=0.05, hot_spot_cells=20)
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["region"] for row in rows] == [row["region"] for row in slide["regions"]]
    assert [float(row["positive_percent"]) for row in rows] == [row["positive_percent"] for row in slide["regions"]]
    assert slide["regions"][1]["mm2"] == pytest.approx(0.05, rel=0.2)


def test_annotations_of_a_slide_are_for_qupath(out: Path, tmp_path: Path) -> None:
    done = wsipsm("index", out / "a", "--hot-spot-cells", "50", "-o", tmp_path / "a.geojson")

    assert done.returncode == 0, done.stderr
    assert len(read_annotations_as_qupath(tmp_path / "a.geojson")) == 6


def test_a_warning_goes_to_the_error_stream(out: Path, tmp_path: Path) -> None:
    roi = roi_file(tmp_path / "roi.geojson", ("Edge", shapely.box(100, 1000, 300, 1100)))

    done = wsipsm("index", out / "a", "--roi", roi, "--json")

    assert json.loads(done.stdout)[0]["warnings"]
    assert "warning: Edge: 50%" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no results here"),
        (["out", "-o", "t.txt"], "expected a name that ends in .csv, .json"),
        (["out", "-o", "t.geojson"], "annotations are of one slide, got 2 slides"),
        (["out", "--roi", "absent.geojson"], "drawn on one slide"),
        (["out/a", "--roi", "absent.geojson"], "cannot be read"),
        (["out/a", "--hot-spot-cells", "0"], "hot-spot-cells"),
        (["out/a", "-o", "absent/t.geojson"], "absent"),
    ],
)
def test_a_mistake_is_one_line(out: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(out.parent)

    done = wsipsm("index", *arguments)

    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1

"""The index of stored results, against counts made with numpy and shapely alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

from tests.helpers.marked_slides import GRID, ORIGIN, marked_cells, random_cells, roi_file, write_marked_slide
from tests.helpers.qupath import read_annotations_as_qupath
from wsipsm.cells.classes import DOUBTFUL
from wsipsm.core.errors import OutputError, RegionError
from wsipsm.results.index.export import save_reports
from wsipsm.results.index.hot_spots import FieldRule
from wsipsm.results.index.report import report, reports

TUMOUR = shapely.Polygon([(1000, 700), (2405, 600), (2200, 1800), (1500, 1300), (900, 1700)])
STROMA = shapely.box(2000, 500, 3000, 1500)
SMALL = FieldRule(least_cells=50)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    xy, grades = random_cells()
    halves = (marked_cells(xy[::2], grades[::2]), marked_cells(xy[1::2], grades[1::2]))
    return write_marked_slide(tmp_path / "out" / "s", *halves)


def counts_in(region: shapely.Geometry) -> list[int]:
    """Cells by grade whose anchor pixel has its centre in a region."""
    xy, grades = random_cells()
    centres = (xy + 0.5) * GRID.downsample
    inside = shapely.contains_xy(region, centres[:, 0], centres[:, 1])
    return np.bincount(grades[inside], minlength=4).tolist()


def test_the_slide_counts_all_its_cells(folder: Path) -> None:
    found = report(folder, rule=SMALL).fields[0]

    negative, *grades = np.bincount(random_cells()[1]).tolist()
    assert (found.kind, found.scores.counted) == ("slide", negative + sum(grades))
    assert [found.scores.grade_1, found.scores.grade_2, found.scores.grade_3] == grades
    assert found.scores.mm2 == pytest.approx(3600 * 2600 * 0.25**2 / 1e6)


def test_regions_and_their_total_count_cells_by_anchors(folder: Path, tmp_path: Path) -> None:
    roi = roi_file(tmp_path / "roi.geojson", ("Tumour", TUMOUR), ("", STROMA))

    tumour, stroma, total = report(folder, roi=roi, rule=SMALL).fields[:3]

    assert [field.name for field in (tumour, stroma, total)] == ["Tumour", "Region 2", "All regions"]
    for field, region in ((tumour, TUMOUR), (stroma, STROMA), (total, TUMOUR.union(STROMA))):
        figures = field.scores
        assert [figures.negative, figures.grade_1, figures.grade_2, figures.grade_3] == counts_in(region)
        assert figures.mm2 == pytest.approx(region.area * 0.25**2 / 1e6, rel=1e-4)
    assert total.scores.counted < tumour.scores.counted + stroma.scores.counted


def test_doubtful_cells_do_not_count(folder: Path, tmp_path: Path) -> None:
    xy, grades = random_cells()
    cells = marked_cells(xy, grades)
    doubtful = replace(cells.take(np.arange(40)), class_=np.full(40, DOUBTFUL, np.uint8))

    other = write_marked_slide(tmp_path / "d", cells.take(np.arange(40, len(cells))), doubtful)

    counted = report(other, rule=SMALL).fields[0].scores.counted
    assert counted == report(folder, rule=SMALL).fields[0].scores.counted - 40


def test_the_compartment_of_the_run_counts(tmp_path: Path) -> None:
    xy, grades = random_cells(200)
    out = write_marked_slide(tmp_path / "r", marked_cells(xy, grades, "ring"), compartment="ring")

    assert report(out, rule=SMALL).fields[0].scores.positive == (grades > 0).sum()


def test_hot_spots_are_the_same_however_the_table_is_cut(folder: Path, tmp_path: Path) -> None:
    xy, grades = random_cells()
    order = np.random.default_rng(1).permutation(len(xy))
    pieces = [marked_cells(xy[part], grades[part]) for part in np.array_split(order, 23)]
    other = write_marked_slide(tmp_path / "other" / "s", *pieces)

    first, second = (report(one, rule=SMALL).to_dict() for one in (folder, other))

    assert first == second
    assert sum(row["kind"] == "hot spot" for row in first["regions"]) == 5


def test_hot_spots_lie_in_the_regions_and_count_what_lies_in_both(folder: Path, tmp_path: Path) -> None:
    roi = roi_file(tmp_path / "roi.geojson", ("Tumour", TUMOUR))

    spots = [field for field in report(folder, roi=roi, rule=SMALL).fields if field.kind == "hot spot"]

    assert spots
    for spot in spots:
        assert spot.polygons.difference(TUMOUR).area < 1e-6
        figures = spot.scores
        assert [figures.negative, figures.grade_1, figures.grade_2, figures.grade_3] == counts_in(spot.polygons)


def test_the_highest_hot_spot_lies_where_most_cells_are_positive(folder: Path) -> None:
    highest = next(field for field in report(folder, rule=SMALL).fields if field.kind == "hot spot")

    assert shapely.box(1200, 800, 2000, 1600).contains(highest.polygons.centroid)


def test_hot_spots_given_back_as_regions_have_the_same_figures(folder: Path, tmp_path: Path) -> None:
    path, found = tmp_path / "spots.geojson", report(folder, rule=SMALL)
    spots = [field for field in found.fields if field.kind == "hot spot"]
    save_reports(path, [replace(found, fields=spots)])

    again = report(folder, roi=path, rule=SMALL).fields[: len(spots)]

    assert [field.name for field in again] == [f"Hot spot {number}" for number in range(1, 6)]
    assert [field.scores for field in again] == [field.scores for field in spots]


def test_annotations_pass_the_oracle_of_qupath_and_carry_the_figures(folder: Path, tmp_path: Path) -> None:
    empty = shapely.box(3720, 210, 3740, 230)
    roi = roi_file(tmp_path / "roi.geojson", ("Tumour", TUMOUR), ("Empty", empty))
    save_reports(tmp_path / "found.geojson", [report(folder, roi=roi, rule=SMALL)])

    features = read_annotations_as_qupath(tmp_path / "found.geojson")

    by_name = {feature["properties"]["name"]: feature for feature in features}
    tumour, nothing = by_name["Tumour"], by_name["Empty"]
    drawn = shapely.transform(TUMOUR, lambda xy: xy - ORIGIN)
    assert shapely.geometry.shape(tumour["geometry"]).symmetric_difference(drawn).area < 1
    negative, *grades = counts_in(TUMOUR)
    share = 100 * sum(grades) / (negative + sum(grades))
    assert tumour["properties"]["measurements"]["Index: Positive %"] == pytest.approx(share, abs=1e-4)
    assert "Index: Positive %" not in nothing["properties"]["measurements"]
    assert nothing["properties"]["measurements"]["Index: Num cells"] == 0
    assert by_name["Hot spot 1"]["properties"]["classification"]["name"] == "Hot spot"


def test_tiles_add_up_to_the_slide(folder: Path, tmp_path: Path) -> None:
    found = report(folder, rule=SMALL, tile_um=100)
    save_reports(tmp_path / "t.csv", [found])

    table = pd.read_csv(tmp_path / "t.csv")
    tiles, slide = table[table.kind == "tile"], table[table.kind == "slide"].iloc[0]
    assert len(tiles) > 50
    assert (tiles.counted.sum(), tiles.positive.sum()) == (slide.counted, slide.positive)
    assert tiles.mm2.max() == pytest.approx(0.01)
    assert tiles.mm2.sum() == pytest.approx(slide.mm2, rel=1e-3)


def test_a_region_beyond_what_was_searched_says_so(folder: Path, tmp_path: Path) -> None:
    roi = roi_file(tmp_path / "roi.geojson", ("Edge", shapely.box(100, 1000, 300, 1100)), ("Inside", STROMA))

    (warning,) = report(folder, roi=roi, rule=SMALL).warnings

    assert "Edge: 50% of it lies outside the region that was searched" in warning


def test_a_region_outside_the_slide_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    roi = roi_file(tmp_path / "roi.geojson", ("Tumour", TUMOUR), ("Elsewhere", shapely.box(9000, 0, 9100, 100)))

    with pytest.raises(RegionError, match=r"roi.geojson: Elsewhere: .* outside the slide"):
        report(folder, roi=roi, rule=SMALL)


def test_results_without_classes_are_refused(tmp_path: Path) -> None:
    out = write_marked_slide(tmp_path / "he", marked_cells(*random_cells(50)), classes=False)

    with pytest.raises(OutputError, match=r"its cells have no classes.*--config ihc"):
        reports(tmp_path, rule=SMALL)
    with pytest.raises(OutputError, match="its cells have no classes"):
        report(out, rule=SMALL)


def test_a_slide_without_classes_is_passed_over_beside_one_with_classes(folder: Path) -> None:
    write_marked_slide(folder.parent / "he", marked_cells(*random_cells(50)), classes=False)

    assert [one.slide for one in reports(folder.parent, rule=SMALL)] == ["s"]


def test_regions_are_refused_for_several_slides(folder: Path, tmp_path: Path) -> None:
    write_marked_slide(folder.parent / "t", marked_cells(*random_cells(50)))

    with pytest.raises(OutputError, match="drawn on one slide; expected the folder of that slide, one of s, t"):
        reports(folder.parent, roi=roi_file(tmp_path / "roi.geojson", ("", TUMOUR)), rule=SMALL)


def test_a_slide_without_cells_has_no_figures(tmp_path: Path) -> None:
    out = write_marked_slide(tmp_path / "empty")

    (slide,) = report(out, rule=SMALL).fields

    assert (slide.scores.counted, slide.scores.positive_percent, slide.scores.positive_per_mm2) == (0, None, 0)


@pytest.mark.parametrize("damage", ["run.json", "cells.parquet"])
def test_damaged_results_are_refused_in_one_line(folder: Path, damage: str) -> None:
    (folder / damage).write_text(json.dumps({"classes": {"threshold_od": 1, "grades_od": 3}}))

    with pytest.raises(OutputError, match=f"{damage}: .*run again") as error:
        report(folder, rule=SMALL)

    assert "\n" not in str(error.value)


def test_drafts_of_a_run_under_way_are_no_slides(folder: Path) -> None:
    for draft in (folder.parent / ".draft-1", folder / ".draft-2"):
        write_marked_slide(draft, marked_cells(*random_cells(50)))

    assert [one.slide for one in reports(folder.parent, rule=SMALL)] == ["s"]


def test_tiles_that_failed_are_said(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"failed_tiles": {"0-0": "damaged", "0-1": "damaged"}}))

    (warning,) = report(folder, rule=SMALL).warnings

    assert "2 tiles failed" in warning

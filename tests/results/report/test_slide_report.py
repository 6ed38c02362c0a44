"""The report of a slide: its figures are those of the stored files, and it stands alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from PIL import Image

import wsipsm
from tests.helpers.classified import QUICK
from tests.helpers.pages import Page, number
from tests.results.report.conftest import HOSTILE
from wsipsm.core.errors import OutputError, StoredResultsError
from wsipsm.results.report import write_slide_report

SEAMS = "Tiles and seams"


def copy_of(folder: Path, tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("labels*", "*.gz", "*.safetensors"))
    )


def record_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def change(folder: Path, **entries: Any) -> None:
    (folder / "run.json").write_text(json.dumps(record_of(folder) | entries))


def pictures(page: Page) -> int:
    return sum(name == "img" for name, _ in page.elements)


def test_counts_are_those_of_the_stored_files(run: Path) -> None:
    page, record = Page(run / "a" / "report.html"), record_of(run / "a")
    cells = geopandas.read_parquet(run / "a" / "cells.parquet")
    mm2, refused = record["counts"]["mm2"], record["counts"]["refused"]

    assert len(cells) > 50
    assert f"{len(cells):,}cells" in page.text
    assert page.row("Cells by class", "Nucleus") == [f"{len(cells):,}", "100.0%", f"{len(cells) / mm2:,.0f}"]
    rows = [row for row in page.tables.get("What was refused", []) if row[0] != "Reason"]
    assert [int(number(row[1])) for row in rows] == (list(refused.values()) if sum(refused.values()) else [])


def test_quartiles_are_those_of_the_cells(run: Path) -> None:
    page, cells = Page(run / "a" / "report.html"), geopandas.read_parquet(run / "a" / "cells.parquet")
    circularity = (4 * np.pi * cells["area_um2"] / cells["perimeter_um"] ** 2).clip(upper=1)

    for values, unit in (
        (cells["area_um2"], " µm²"),
        (circularity, ""),
        (cells["solidity"], ""),
        (cells["hematoxylin_od_mean"], " OD"),
        (cells["eosin_od_mean"], " OD"),
        (cells["confidence"], ""),
    ):
        low, median, high = values.astype(np.float64).quantile([0.25, 0.5, 0.75])
        assert f"Median {median:.3g}{unit}; half of the cells {low:.3g} to {high:.3g}." in page.text


def test_the_index_is_that_of_the_run(marked: Path) -> None:
    page, record = Page(marked / "report.html"), record_of(marked)
    cells = geopandas.read_parquet(marked / "cells.parquet")
    counts, index = cells["class"].value_counts(), record["index"]["slide"]

    for name, count in counts.items():
        assert page.row("Cells by class", str(name))[0] == f"{count:,}"
    assert len(counts) >= 2
    positive = len(cells) - counts.get("Negative", 0)
    row = page.row("Positive and negative cells", "Slide")
    assert row[:3] == [f"{len(cells)}", f"{positive}", f"{100 * positive / len(cells):.1f}"]
    h_score = sum(grade * counts.get(f"{grade}+", 0) for grade in (1, 2, 3)) * 100 / len(cells)
    assert row[4] == f"{h_score:.0f}" == f"{index['h_score']:.0f}"
    assert f"optical density of {record['classes']['threshold_od']:.3f}" in page.text
    median = cells["dab_od_ring"].astype(np.float64).median()
    assert f"Median {median:.3g} OD" in page.text
    assert "DAB, ring around the nucleus" in page.text


def test_hot_spots_have_rows(marked: Path, tmp_path: Path) -> None:
    folder, index = copy_of(marked, tmp_path), record_of(marked)["index"]
    spot = index["slide"] | {"region": "Hot spot <1>", "positive_percent": 87.65, "bounds_l0": [0, 0, 10, 10]}
    change(folder, index=index | {"hot_spots": [spot]})

    page = Page(write_slide_report(folder))

    assert page.row("Positive and negative cells", "Hot spot <1>")[2] == "87.7"


def test_a_report_made_again_is_the_one_of_the_run(run: Path, marked: Path, tmp_path: Path) -> None:
    for folder in (run / "a", marked):
        again = write_slide_report(copy_of(folder, tmp_path / folder.name))

        assert again.read_bytes() == (folder / "report.html").read_bytes()


def test_it_refers_to_nothing_else_and_runs_no_script(run: Path, marked: Path) -> None:
    for folder in (run / "a", marked):
        page = Page(folder / "report.html")

        assert not page.open
        assert all(one.startswith("data:image/") for one in page.references())
        assert pictures(page) > 10
        assert {"script", "link", "iframe", "object", "form"}.isdisjoint(name for name, _ in page.elements)
        assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
        policies = [attrs["content"] for name, attrs in page.elements if "http-equiv" in attrs]
        assert [one.split(";")[0] for one in policies] == ["default-src 'none'"]
        assert "http:" not in page.text
        assert "Not for clinical use" in page.text
        assert (folder / "report.html").stat().st_size < 2e6


def test_text_of_strangers_is_text(run: Path, tmp_path: Path) -> None:
    (folder,) = [path.parent for path in run.glob("*/report.html") if path.parent.name != "a"]
    evil = "<img src=x onerror=alert(1)>"
    page = Page(folder / "report.html")
    assert f"{HOSTILE}" in page.text
    assert "script" not in {name for name, _ in page.elements}

    copy = copy_of(folder, tmp_path)
    record = record_of(copy)
    before = [name for name, _ in page.elements]
    change(
        copy,
        warnings=[evil],
        finished=evil,
        digest=evil,
        status=evil,
        versions={"wsipsm": evil, "platform": evil, "numpy": evil},
        slide=record["slide"] | {"vendor": evil, "reader": evil, "mpp_source": evil},
        counts=record["counts"] | {"by_class": {evil: 3}, "refused": {evil: 2}},
    )
    found = Page(write_slide_report(copy))

    assert found.text.count(evil) > 8
    assert sum(name == "img" for name, _ in found.elements) <= before.count("img")
    assert not [attrs for _, attrs in found.elements if "onerror" in attrs]


def test_warnings_and_missing_tiles_are_told(run: Path, tmp_path: Path) -> None:
    folder = copy_of(run / "a", tmp_path)
    change(folder, warnings=["the slide is pale"], failed_tiles={"00000_00001": "damaged"}, status="partial")

    text = Page(write_slide_report(folder)).text

    assert "2 warnings" in text
    assert "The slide is pale." in text
    assert f"1 of {record_of(folder)['counts']['tiles']} tiles failed in part or whole" in text
    assert "incomplete: some tiles failed" in text


@pytest.mark.parametrize("moved", [True, False])
def test_without_the_slide_the_overview_is_all_there_is_to_see(run: Path, tmp_path: Path, moved: bool) -> None:
    folder, slide = copy_of(run / "a", tmp_path), record_of(run / "a")["slide"]
    other = tmp_path / "a.png"
    if not moved:
        Image.new("RGB", (600, 500), "white").save(other)
    change(folder, slide=slide | {"path": str(other)})

    page = Page(write_slide_report(folder))

    assert "pictures are from the stored overview only" in page.text
    assert pictures(page) == 1
    assert page.tables[SEAMS] == Page(run / "a" / "report.html").tables[SEAMS]


def test_a_damaged_overview_is_said(run: Path, tmp_path: Path) -> None:
    folder = copy_of(run / "a", tmp_path)
    (folder / "overview.png").write_bytes((folder / "overview.png").read_bytes()[:5000])

    page = Page(write_slide_report(folder))

    assert "The stored overview cannot be read." in page.text
    assert pictures(page) > 8


def test_a_slide_without_tissue_has_a_report(tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), (244, 244, 244)).save(tmp_path / "glass.png")

    (result,) = wsipsm.run(tmp_path / "glass.png", tmp_path / "out", slide_mpp=0.5, settings=QUICK)

    assert result.status == "empty"
    page = Page(result.folder / "report.html")
    assert "0cells" in page.text
    assert "no tissue was found" in page.text
    assert "There are no cells to tell by." in page.text


def test_what_cannot_be_read_is_one_line(run: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no results here"):
        write_slide_report(tmp_path)
    folder = copy_of(run / "a", tmp_path)
    change(folder, counts={})
    with pytest.raises(StoredResultsError, match=r"run.json: cannot be read"):
        write_slide_report(folder)
    shutil.copy(run / "a" / "run.json", folder)
    (folder / "cells.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoredResultsError, match=r"cells.parquet"):
        write_slide_report(folder)


def test_settings_that_differ_are_listed(run: Path) -> None:
    rows = Page(run / "a" / "report.html").tables["Provenance"]

    assert ["tiles.core_px", "128", "1024"] in rows
    assert not [row for row in rows if row[0].startswith(("schedule.", "training."))]
    assert [row[1] for row in rows if row[0] == "Seed"] == ["0"]

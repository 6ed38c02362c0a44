"""The report of a run, the command that makes reports, and what a run does about them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import geopandas
import numpy as np
import pytest
from PIL import Image

import wsipsm
from tests.helpers.classified import QUICK
from tests.helpers.command import wsipsm as command
from tests.helpers.pages import Page
from tests.results.report.conftest import HOSTILE
from wsipsm.core.errors import OutputError
from wsipsm.core.events import Event
from wsipsm.results.report import SlideRow, write_run_report
from wsipsm.results.report.run import MOST_SLIDES, MOST_THUMBNAILS
from wsipsm.slide.sample import HE_FIELD_MPP


@pytest.fixture
def out(run: Path, tmp_path: Path) -> Path:
    """A copy of the run, as if it had been carried to another machine."""
    return Path(
        shutil.copytree(run, tmp_path / "out", ignore=shutil.ignore_patterns("labels*", "*.gz", "*.safetensors"))
    )


def test_totals_are_those_of_the_slides(run: Path) -> None:
    page = Page(run / "report.html")
    cells = [len(geopandas.read_parquet(path)) for path in sorted(run.glob("*/cells.parquet"))]
    mm2 = sum(json.loads(path.read_text())["counts"]["mm2"] for path in run.glob("*/run.json"))

    assert "2 of 3slides complete" in page.text
    assert f"{sum(cells):,}cells" in page.text
    assert page.row("Cells by class, all slides", "Nucleus") == [
        f"{sum(cells):,}",
        "100.0%",
        f"{sum(cells) / mm2:,.0f}",
    ]
    assert page.row("Slides", "a")[2] == f"{len(geopandas.read_parquet(run / 'a' / 'cells.parquet')):,}"


def test_failed_slides_are_listed_with_the_reason_of_the_table(run: Path) -> None:
    (failed,) = csv.DictReader((run / "failed.csv").read_text().splitlines())
    page = Page(run / "report.html")

    assert page.row("Slides", "broken")[0] == "failed"
    assert page.row("Failed, incomplete, and slides with warnings", "broken") == ["failed", failed["error"]]
    assert "1 of 3 slides: failed." in page.text


def test_links_lead_to_the_reports_of_the_slides_and_names_are_text(run: Path) -> None:
    page = Page(run / "report.html")
    links = [attrs["href"] for name, attrs in page.elements if name == "a"]

    assert len(links) == 2
    assert all((run / unquote(link)).is_file() and ":" not in link for link in links)
    assert HOSTILE.removesuffix(".png") in page.text
    assert "script" not in {name for name, _ in page.elements}
    sources = [attrs["src"] for name, attrs in page.elements if name == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_a_folder_that_was_moved_and_one_without_its_table_have_the_same_slides(run: Path, out: Path) -> None:
    expected = Page(run / "report.html").tables["Cells by class, all slides"]
    shutil.move(run / "a", run / "elsewhere")
    try:
        wsipsm.report(out)
    finally:
        shutil.move(run / "elsewhere", run / "a")
    assert Page(out / "report.html").tables["Cells by class, all slides"] == expected

    (out / "slides.csv").unlink()
    wsipsm.report(out)
    assert Page(out / "report.html").tables["Cells by class, all slides"] == expected


def test_many_slides_are_cut_short_and_that_is_said(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "overview.png", compress_level=0)
    record = {
        "counts": {"by_class": {"Nucleus": 7}, "mm2": 0.5, "cells": 7},
        "config": {},
        "versions": {"wsipsm": "1"},
        "status": "done",
        "slide": {"path": "x"},
    }
    (tmp_path / "run.json").write_text(json.dumps(record))
    rows = [SlideRow("x", f"slide {i}", "done", 7, 0.5, tmp_path, warnings="w" * 200) for i in range(MOST_SLIDES + 500)]

    path = write_run_report(tmp_path, rows)

    page = Page(path)
    assert len(page.tables["Slides"]) == MOST_SLIDES + 1
    assert "500 more slides are left out here; slides.csv lists them all" in page.text
    assert sum(name == "img" for name, _ in page.elements) == MOST_THUMBNAILS
    assert f"{MOST_SLIDES - MOST_THUMBNAILS} more slides have no thumbnail here" in page.text
    assert f"{7 * len(rows):,}cells" in page.text
    assert path.stat().st_size < 5e6


def test_the_command_makes_reports_again(out: Path, run: Path) -> None:
    for path in out.rglob("report.html"):
        path.unlink()

    done = command("report", out)

    paths = [Path(line) for line in done.stdout.splitlines()]
    assert (done.returncode, len(paths), paths[-1]) == (0, 3, out / "report.html")
    assert (out / "a" / "report.html").read_bytes() == (run / "a" / "report.html").read_bytes()
    assert [Path(line) for line in command("report", out / "a").stdout.splitlines()] == [out / "a" / "report.html"]


def test_the_command_says_what_it_could_not_make(out: Path, tmp_path: Path) -> None:
    (out / "a" / "cells.parquet").unlink()

    some = command("report", out)

    assert some.returncode == 2
    assert "a: " in some.stderr
    assert "cells.parquet" in some.stderr
    with pytest.raises(OutputError, match=r"cells\.parquet"):
        wsipsm.report(out)
    (tmp_path / "empty").mkdir()
    assert command("report", tmp_path / "empty").returncode == 1


def test_a_run_without_reports_writes_none_and_with_them_computes_nothing_again(run: Path, tmp_path: Path) -> None:
    slide = tmp_path / "small.png"
    with Image.open(run.parent / "a.png") as picture:
        picture.crop((0, 0, 200, 200)).save(slide)

    def once(*settings: str) -> list[str]:
        said: list[str] = []

        def note(event: Event) -> None:
            if event.kind == "ended" and event.slide is not None:
                said.append(f"{event.slide.found_done} {event.slide.note}")

        wsipsm.run(slide, tmp_path / "out", slide_mpp=HE_FIELD_MPP, settings=[*QUICK, *settings], on_event=note)
        return said

    once("output.report=false")
    assert not list((tmp_path / "out").rglob("report.html"))
    before = (tmp_path / "out" / "small" / "run.json").read_bytes()

    assert once() == ["True "]
    assert (tmp_path / "out" / "small" / "run.json").read_bytes() == before
    assert "1 of 1slides complete" in Page(tmp_path / "out" / "report.html").text


def test_a_report_that_cannot_be_written_ends_no_run(run: Path, tmp_path: Path) -> None:
    out, said = Path(shutil.copytree(run, tmp_path / "out")), list[str]()
    (out / "report.html").unlink()
    (out / "report.html").mkdir()

    found = wsipsm.run(
        run.parent / "a.png",
        out,
        slide_mpp=HE_FIELD_MPP,
        settings=QUICK,
        on_event=lambda event: said.append(event.text),
    )

    assert [one.status for one in found] == ["done"]
    assert any("report.html of the run was not written" in text for text in said)

"""Manifests: a row a slide, checked whole, every bad row named by its line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from wsipsm.config import load_config
from wsipsm.core.errors import InputError
from wsipsm.slide.manifest import Row, is_manifest, read_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that a manifest may name."""
    for name in ("a.svs", "b.svs", "c.svs"):
        (tmp_path / name).touch()
    ring = [[0, 0], [9, 0], [9, 9], [0, 0]]
    (tmp_path / "roi.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    (tmp_path / "coarse.yaml").write_text("grid:\n  mpp: 1.0\n")
    return tmp_path


def written(folder: Path, *rows: dict[str, object], kind: str = "csv") -> Path:
    """A manifest of these rows, by a library that is not ours."""
    table, path = pd.DataFrame(rows), folder / f"slides.{kind}"
    if kind == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_column_comes_back(folder: Path, kind: str) -> None:
    full = {"slide": "a.svs", "mpp": 0.25, "roi": "roi.geojson", "config": "coarse.yaml", "id": "case 7", "out": "x"}
    path = written(folder, full | {"stain": "H&E"}, {"slide": "b.svs"}, kind=kind)

    rows = read_manifest(path, load_config)

    assert rows == [
        Row(folder / "a.svs", 0.25, folder / "roi.geojson", str(folder / "coarse.yaml"), "case 7", Path("x")),
        Row(folder / "b.svs"),
    ]


def test_absolute_paths_and_packaged_configurations_are_taken(folder: Path, tmp_path: Path) -> None:
    path = written(folder, {"slide": str(tmp_path / "a.svs"), "config": "he"})

    assert read_manifest(path, load_config) == [Row(tmp_path / "a.svs", config="he")]


def test_all_bad_rows_are_named_together_with_their_lines(folder: Path) -> None:
    path = written(
        folder,
        {"slide": "a.svs", "mpp": "fine", "roi": "", "config": "", "id": "", "out": ""},
        {"slide": "none.svs"},
        {"slide": "b.svs", "config": "misspelt"},
        {"slide": "c.svs", "id": "../up"},
        {"slide": "", "id": "nameless"},
        {"slide": "a.svs", "roi": "none.geojson", "mpp": "99"},
    )

    with pytest.raises(InputError) as caught:
        read_manifest(path, load_config)

    said = str(caught.value)
    assert "9 bad entries, nothing was started" in said
    for part in (
        "2: mpp 'fine'", "3: slide none.svs: no such file", "4: config misspelt", "5: id '../up'",
        "6: slide is empty", "7: roi none.geojson", "7: mpp '99'", "2: a.svs stands in 2 rows", "7: a.svs stands in 2",
    ):  # fmt: skip
        assert part in said, part


def test_lines_are_those_of_an_editor_even_after_a_cell_of_two_lines(folder: Path) -> None:
    path = folder / "slides.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["slide", "remark"], ["a.svs", "two\nlines"], ["none.svs", ""]])

    with pytest.raises(InputError, match=r"line 4: slide none\.svs"):
        read_manifest(path)


def test_rows_that_would_write_into_one_folder_are_refused(folder: Path) -> None:
    path = written(
        folder,
        {"slide": "a.svs", "id": "x", "out": "p"},
        {"slide": "b.svs", "id": "x", "out": "q"},
        {"slide": "c.svs", "id": "x", "out": "q"},
    )

    with pytest.raises(InputError, match=r"2 bad entries.*3: id 'x' stands in 2 rows; 4: id 'x'"):
        read_manifest(path)


def test_one_slide_twice_is_fine_with_ids(folder: Path) -> None:
    path = written(folder, {"slide": "a.svs", "id": "fine"}, {"slide": "a.svs", "id": "coarse", "config": "he"})

    assert [row.id for row in read_manifest(path, load_config)] == ["fine", "coarse"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path\na.svs\n", "columns path, expected slide"),
        ("slide,mpp\n", "no row"),
        ("slide,Mpp\na.svs,0.5\n", "column 'Mpp': write mpp"),
        ("slide,mpp\na.svs,0.5,what\n", "more cells than columns in line 2"),
        ("slide,mpp,mpp\na.svs,0.5,0.25\n", "column mpp stands there more than once"),
        ("", "expected slide"),
    ],
)
def test_a_table_that_is_no_manifest_is_refused(folder: Path, text: str, told: str) -> None:
    (folder / "m.csv").write_text(text)

    with pytest.raises(InputError, match=told):
        read_manifest(folder / "m.csv")


def test_a_column_of_row_numbers_does_no_harm(folder: Path) -> None:
    pd.DataFrame({"slide": ["a.svs"], "mpp": [0.5]}).to_csv(folder / "m.csv")

    assert read_manifest(folder / "m.csv") == [Row(folder / "a.svs", 0.5)]


def test_regions_and_places_that_cannot_be_used_are_found_before_the_start(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.geojson").write_text("not JSON")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    path = written(
        folder,
        {"slide": "a.svs", "roi": "bad.geojson", "out": ""},
        {"slide": "b.svs", "roi": "bad.geojson", "out": "file/below"},
        {"slide": "c.svs", "roi": "roi.geojson", "out": "new/below"},
    )

    with pytest.raises(InputError, match="3 bad entries") as caught:
        read_manifest(path, out=tmp_path / "out")

    for part in ("line 2: roi bad.geojson", "3: out file/below", "is a file, expected a folder", "3: roi bad.geojson"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_bytes_that_are_no_table_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff\xfe\x00PAR1 nothing")

    with pytest.raises(InputError, match=name):
        read_manifest(folder / name)


def test_a_manifest_from_a_spreadsheet_may_begin_with_a_mark(folder: Path) -> None:
    (folder / "m.csv").write_bytes("\ufeffslide,mpp\r\na.svs,0.5\r\n\r\n".encode())

    assert read_manifest(folder / "m.csv") == [Row(folder / "a.svs", 0.5)]


def test_a_folder_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "x.csv").mkdir()

    assert not is_manifest(tmp_path / "x.csv")
    assert not is_manifest(tmp_path / "none.csv")

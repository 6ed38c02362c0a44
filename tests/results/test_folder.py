"""What a finished slide's folder holds, and what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

import wsipsm.results.formats
from wsipsm.results.folder import missing_outputs, replace_outputs
from wsipsm.results.formats import EXPORTS, FORMATS

WHOLE = ("cells.geojson.gz", "cells.parquet", "labels.ome.zarr", "overview.png", "tissue.geojson", "run.json")


def folder_of(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text(path.name)
    return path


def test_every_format_is_a_module_and_every_module_has_a_row() -> None:
    modules = {path.stem for path in Path(wsipsm.results.formats.__file__).parent.glob("*.py")} - {"__init__"}

    exports = {one.place.partition(":")[0] for one in EXPORTS.values()}
    shared = {"arrow", "compiled", "feature_file", "features", "halved", "text", "wkb"}
    assert set(FORMATS) | exports | shared == modules


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path / "out", *WHOLE)
    assert missing_outputs(folder) == []

    (folder / name).unlink()

    assert missing_outputs(folder) == [name]


def test_geojson_in_parts_is_complete_and_a_script_alone_is_not(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "out", *WHOLE[1:], "import.groovy")
    assert missing_outputs(folder) == ["cells.geojson.gz"]

    (folder / "cells-001.geojson.gz").touch()

    assert missing_outputs(folder) == []


def test_new_files_replace_all_earlier_ones_and_leave_others_alone(tmp_path: Path) -> None:
    out = folder_of(tmp_path / "old", *WHOLE, "cells-002.geojson.gz", "import.groovy", "fit.pt", "notes.txt")

    replace_outputs(folder_of(tmp_path / "new", *WHOLE), out)

    assert {path.name: path.read_text() for path in out.iterdir()} == dict.fromkeys(WHOLE, "new") | {"notes.txt": "old"}

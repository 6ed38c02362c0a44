"""The script of a whole run; QuPath's own classes are not here, so its text is looked at."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import wsipsm
from tests.helpers.qupath import Opened, open_project


def test_a_script_is_written_for_all_slides(tmp_path: Path) -> None:
    out = tmp_path / "it's $out\\here"
    for name in ("a", "b"):
        (out / name).mkdir(parents=True)
        (out / name / "run.json").write_text("{}")

    done = wsipsm("qupath", out)

    assert done.returncode == 0, done.stderr
    assert "2 slides" in done.stdout
    text = (out / "import_into_project.groovy").read_text()
    (literal,) = re.findall(r"^def folder = new File\('(.*)'\)$", text, re.MULTILINE)
    assert literal.replace("\\'", "'").replace("\\\\", "\\") == str(out.resolve())
    code = re.sub(r"//.*|'(?:\\.|[^'\\])*'|/cells.*?/", "", text)
    for opened, closed in ("{}", "()", "[]"):
        assert code.count(opened) == code.count(closed)
    assert re.fullmatch(r"cells(-\d+)?\.geojson\.gz", "cells-001.geojson.gz")
    assert r"/cells(-\d+)?\.geojson\.gz/" in text


def test_a_folder_without_slides_is_refused(tmp_path: Path) -> None:
    done = wsipsm("qupath", tmp_path)

    assert done.returncode == 1
    assert "no finished slide" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Records of three slides; two have one name, one file is not there any more."""
    folder = tmp_path / "run"
    places = {"a": ("1/Å b#1.svs", "openslide"), "a-2": ("2/Å b#1.svs", "openslide"), "c": ("gone.ome.tif", "tiff")}
    for name, (place, reader) in places.items():
        (folder / name).mkdir(parents=True)
        path = tmp_path / place
        record = {"slide": {"path": str(path), "reader": reader}, "config": {"recognizer": {"stain": "he"}}}
        (folder / name / "run.json").write_text(json.dumps(record))
        if name != "c":
            path.parent.mkdir()
            path.touch()
    return folder


def test_a_project_holds_every_slide_and_the_script(out: Path, tmp_path: Path) -> None:
    done = wsipsm("qupath", out, "--project", tmp_path / "my project")

    assert done.returncode == 0, done.stderr
    assert "3 slides" in done.stdout
    assert "1 of the files" in done.stdout
    opened = open_project(tmp_path / "my project" / "project.qpproj")
    expected = {
        1: Opened("Å b#1.svs", tmp_path / "1" / "Å b#1.svs", "openslide.OpenslideServerBuilder", ()),
        2: Opened("Å b#1.svs", tmp_path / "2" / "Å b#1.svs", "openslide.OpenslideServerBuilder", ()),
        3: Opened("gone.ome.tif", tmp_path / "gone.ome.tif", "bioformats.BioFormatsServerBuilder", ("--series", "0")),
    }
    assert opened == expected
    script = (tmp_path / "my project" / "scripts" / "import_cells.groovy").read_text()
    wsipsm("qupath", out)
    assert script == (out / "import_into_project.groovy").read_text()
    assert sorted(path.name for path in (tmp_path / "my project").iterdir()) == ["project.qpproj", "scripts"]


@pytest.mark.parametrize("record", [None, "{", "[]", '{"slide": {}}', '{"slide": null}'])
def test_a_folder_that_is_there_and_a_bad_record_are_refused(out: Path, tmp_path: Path, record: Any) -> None:
    project = tmp_path / "project"
    if record is None:
        project.mkdir()
        (project / "project.qpproj").write_text("mine")
    else:
        (out / "c" / "run.json").write_text(record)

    done = wsipsm("qupath", out, "--project", project)

    assert done.returncode == 1
    assert ("exists already" if record is None else "not the record of a run") in done.stderr
    assert [path.read_text() for path in project.rglob("*")] == (["mine"] if record is None else [])

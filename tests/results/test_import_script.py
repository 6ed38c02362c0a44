"""The script that imports split GeoJSON into QuPath, run by Groovy with a list for QuPath's image."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.results.test_geojson import row_of_squares, write
from wsipsm.config import OutputConfig

DRIVER = """
import java.util.zip.GZIPInputStream

class Thing {{ String id; String getID() {{ id }} }}
def source = new File('{script}').text.replace('qupath.lib.io.PathIO.readObjects(it)', 'readObjects(it)')
def image = []
def binding = new Binding([
    getCurrentImageData: {{ -> {image} ? image : null }},
    getAllObjects: {{ boolean root -> image.collect() }},
    removeObjects: {{ objects, boolean children -> image.removeAll(objects) }},
    addObjects: {{ objects -> image.addAll(objects) }},
    readObjects: {{ File file -> new groovy.json.JsonSlurper().parse(new GZIPInputStream(file.newInputStream()))
        .features.collect {{ new Thing(id: it.id) }} }},
])
if ({passed})
    binding.setVariable('qupath.script.file', '{script}')
for (given in {runs}) {{
    binding.setVariable('args', given as String[])
    try {{ new GroovyShell(binding).evaluate(source) }} catch (Exception error) {{ println error.message }}
}}
println 'objects ' + image.size() + ', ids ' + (image*.getID() as Set).size()
"""
"""QuPath is not here: these are the calls of its scripting API that the script makes."""


def script_of(folder: Path) -> Path:
    return write(folder, [row_of_squares(20)], OutputConfig(max_objects_per_file=5))[-1]


def imported(
    folder: Path, runs: list[list[str]], *, image: bool = True, passed: bool = True, elsewhere: bool = False
) -> list[str]:
    """What is printed when the script runs once for each list of arguments, on one image."""
    groovy = shutil.which("groovy")
    if groovy is None:
        pytest.skip("no groovy on this machine")
    script = script_of(folder)
    if elsewhere:
        script = script.rename(folder.parent / "elsewhere.groovy")
    driver = folder / "driver.groovy"
    known: dict[str, Any] = {"image": json.dumps(image), "passed": json.dumps(passed), "runs": json.dumps(runs)}
    driver.write_text(DRIVER.format(script=script, **known))
    done = subprocess.run([groovy, str(driver)], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def test_the_second_run_adds_nothing_and_says_so(tmp_path: Path) -> None:
    lines = imported(tmp_path, [[], []])

    assert lines[0] == "Imported 20 cells of 4 files, removed 0 earlier ones"
    assert lines[1].startswith("Nothing imported: 20 of these 20 cells are in the image already.")
    assert lines[2:] == ["objects 20, ids 20"]


def test_replace_removes_the_cells_of_the_first_run(tmp_path: Path) -> None:
    lines = imported(tmp_path, [[], ["replace"]])

    assert lines[1:] == ["Imported 20 cells of 4 files, removed 20 earlier ones", "objects 20, ids 20"]


def test_the_folder_is_that_of_the_script_or_the_argument(tmp_path: Path) -> None:
    folder = tmp_path / "a slide"
    folder.mkdir()

    lines = imported(folder, [[], [str(folder)]], elsewhere=True)

    assert lines[0].startswith("Not found: ")
    assert lines[1:] == ["Imported 20 cells of 4 files, removed 0 earlier ones", "objects 20, ids 20"]


def test_a_missing_image_or_folder_is_said(tmp_path: Path) -> None:
    (no_image, *_), (no_folder, *_) = imported(tmp_path, [[]], image=False), imported(tmp_path, [[]], passed=False)

    assert no_image == "No image is open: open the slide first, or give --project and --image"
    assert no_folder == "Save this script beside cells-001.geojson.gz and run it from there, or give --args FOLDER"


def test_the_header_names_the_project_that_save_needs(tmp_path: Path) -> None:
    header = script_of(tmp_path).read_text(encoding="utf-8")

    assert 'QuPath script import.groovy --project P.qpproj --image "NAME" --args FOLDER --save' in header

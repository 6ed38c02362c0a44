"""The script of a whole run; QuPath's own classes are not here, so its text is looked at."""

from __future__ import annotations

import re
from pathlib import Path

from tests.helpers.command import wsipsm


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

"""A folder with inputs that cannot be used beside good ones: those are done, the others named, without a traceback."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

from PIL import Image

from tests.helpers.command import WSIPSM, wsipsm
from tests.helpers.slide_files import noise


def test_good_slides_are_done_and_each_other_input_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data [batch 1]"
    folder.mkdir()
    Image.fromarray(noise(200, 200)).save(folder / "good.png")
    Image.fromarray(noise(200, 200)).save(folder / "line\nbreak.png")
    Image.fromarray(noise(90, 120)).save(folder / "thumbnail.mrxs", "JPEG")
    os.mkfifo(folder / "pipe.tif")
    (folder / "notes.txt").write_text("no slide")
    with open(os.fsencode(folder) + b"/latin1_\xe9.png", "wb") as file:
        file.write((folder / "good.png").read_bytes())

    done = wsipsm("run", folder, "-o", tmp_path / "out", "--slide-mpp", "0.25", "--set", "schedule.processes=false")

    with (tmp_path / "out" / "slides.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["slide_id"]: row for row in csv.DictReader(file)}
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert {name: row["error"] == "" for name, row in rows.items()} == {
        "good": True,
        "line\nbreak": True,
        "thumbnail": False,
        "pipe": False,
        r"latin1_\xe9": False,
    }
    assert "Slidedat.ini is missing" in rows["thumbnail"]["error"]
    assert "not UTF-8" in rows[r"latin1_\xe9"]["error"]
    assert "1 .txt" in " ".join(done.stderr.split())


def test_a_full_stdout_is_said_and_fails_nothing(tmp_path: Path) -> None:
    Image.fromarray(noise(200, 200)).save(tmp_path / "a.png")
    with open("/dev/full", "w") as full:
        command = [WSIPSM, "run", tmp_path / "a.png", "-o", tmp_path / "out", "--slide-mpp", "0.25"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stderr
    assert "stdout cannot be written (No space left on device); the results are in" in " ".join(done.stderr.split())

"""What a search for slides finds, refuses and passes over, in folders as people have them."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from wsipsm.core.errors import UnreadableSlideError
from wsipsm.slide import find_slides, open_slide


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_brackets_in_the_name_of_a_folder_are_no_pattern(tmp_path: Path) -> None:
    folder = touched(tmp_path / "data [batch 1]", "a.png", "sub/b.png")

    assert find_slides([f"{folder}/*.png"]).slides == [folder / "a.png"]
    assert find_slides([f"{folder}/**/*.png"]).slides == [folder / "a.png", folder / "sub/b.png"]
    assert find_slides([f"{tmp_path}/data*/a.p[nm]g"]).slides == [folder / "a.png"]


def test_what_is_passed_over_is_counted_in_one_line(tmp_path: Path) -> None:
    touched(
        tmp_path, "a.svs", "n.txt", "m/n.txt", "t.CSV", "README", ".hidden/b.svs", "lost+found/c.svs", "@eaDir/d.png"
    )
    touched(tmp_path, "s.mrxs", "s/Slidedat.ini", "s/Data0001.dat")

    found = find_slides([tmp_path])

    assert found.slides == [tmp_path / "a.svs", tmp_path / "s.mrxs"]
    listed = "3 hidden or system folders, 2 .txt, 1 .csv, 1 without suffix"
    assert sorted(found.note.split(": ")[1].split(", ")) == sorted(listed.split(", "))
    assert find_slides([tmp_path / "a.svs"]).note == ""


def test_a_name_that_is_not_utf8_is_refused_and_the_others_are_found(tmp_path: Path) -> None:
    touched(tmp_path, "ok.png")
    with open(os.fsencode(tmp_path) + b"/latin1_\xe9.png", "wb") as file:
        file.write(b"x")

    found = find_slides([tmp_path])

    assert found.slides == [tmp_path / "ok.png"]
    assert found.refused == {tmp_path / r"latin1_\xe9.png": "its name is not UTF-8: rename the file"}


def test_a_pipe_is_refused_and_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.tif")

    found = find_slides([tmp_path, tmp_path / "x.tif"])

    assert (found.slides, list(found.refused)) == ([], [tmp_path / "x.tif"])
    with pytest.raises(UnreadableSlideError, match="not a regular file"):
        open_slide(tmp_path / "x.tif")


def test_a_folder_that_may_not_be_entered_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "ok/a.png", "closed/b.png")
    (tmp_path / "closed").chmod(0)
    if os.access(tmp_path / "closed", os.R_OK):  # root may enter any folder: what it would be told is raised here
        scandir = os.scandir

        def scan(path: str) -> object:
            if not os.stat(path).st_mode & stat.S_IRUSR:
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", scan)

    found = find_slides([tmp_path])

    (tmp_path / "closed").chmod(0o755)
    assert found.slides == [tmp_path / "ok/a.png"]
    why = "cannot be searched (Permission denied): give access, or leave it out"
    assert found.refused == {tmp_path / "closed": why}


def test_avs_is_a_slide(tmp_path: Path) -> None:
    assert find_slides([touched(tmp_path, "scan.avs")]).slides == [tmp_path / "scan.avs"]


@pytest.mark.shared_data
def test_dicom_without_a_suffix_is_looked_into(tmp_path: Path, shared_data: Path) -> None:
    level = (shared_data / "slides" / "camelyon_dicom_jpeg.dcm").read_bytes()
    (tmp_path / "1.2.840.113619").write_bytes(level)
    (tmp_path / "IM0001").write_bytes(level[:-10])
    (tmp_path / "other").mkdir()
    shutil.copyfile(tmp_path / "IM0001", tmp_path / "other" / "IM1")
    other = level.replace(b"1.2.840.10008.5.1.4.1.1.77.1.6", b"1.2.840.10008.5.1.4.1.1.77.1.4")
    (tmp_path / "photo").write_bytes(other)

    found = find_slides([tmp_path])

    assert found.slides == [tmp_path / "1.2.840.113619", tmp_path / "other" / "IM1"], "one a series and folder"
    assert found.note.endswith("1 without suffix")

"""Which slides a file, a folder or a pattern names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wsipsm.core.errors import InputError
from wsipsm.slide import slide_paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ("b.svs", "a.NDPI", "notes.txt", ".hidden.svs", "._a.svs", "deep/down/c.tiff", "plate.zarr/0/x.png")
    for name in (*names, "vms/slide.vms", "vms/slide-tile.jpg", ".cache/d.svs", "odd[1].svs"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_a_folder_gives_its_slides_to_any_depth_in_order(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in slide_paths([folder])]

    assert found == ["a.NDPI", "b.svs", "deep/down/c.tiff", "odd[1].svs", "plate.zarr", "vms/slide.vms"]


def test_patterns_give_only_slides(folder: Path) -> None:
    assert slide_paths([f"{folder}/*s*"]) == [folder / "b.svs", folder / "odd[1].svs"]
    assert slide_paths([f"{folder}/**/*.tiff"]) == [folder / "deep/down/c.tiff"]


def test_a_named_file_is_taken_as_it_is(folder: Path) -> None:
    assert slide_paths([folder / "notes.txt", str(folder / "odd[1].svs")]) == [
        folder / "notes.txt",
        folder / "odd[1].svs",
    ]


def test_a_slide_named_twice_is_given_once(folder: Path) -> None:
    assert slide_paths([folder / "b.svs", f"{folder}/*.svs"]) == [folder / "b.svs", folder / "odd[1].svs"]


@pytest.mark.parametrize(
    ("given", "message"),
    [("nowhere.svs", "no such file or folder"), ("*.scn", "matches no slide"), ("empty", "no slide in this folder")],
)
def test_what_names_no_slide_is_refused_in_one_line(folder: Path, given: str, message: str) -> None:
    (folder / "empty").mkdir()

    with pytest.raises(InputError, match=message) as caught:
        slide_paths([folder / "b.svs", folder / given])

    assert given in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.shared_data
def test_a_dicom_series_counts_once(tmp_path: Path, shared_data: Path) -> None:
    level = shared_data / "slides" / "camelyon_dicom_jpeg.dcm"
    for name in ("one/1.dcm", "one/2.dcm", "two/1.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(level, tmp_path / name)
    (tmp_path / "two" / "not.dcm").write_bytes(b"not DICOM")

    found = [path.relative_to(tmp_path).as_posix() for path in slide_paths([tmp_path])]

    assert found == ["one/1.dcm", "two/1.dcm", "two/not.dcm"]

"""What readers change of the process while they read, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tifffile
from PIL import Image as Pillow

from tests.helpers.slide_files import noise, write_ngff
from wsipsm.core.errors import SlideError, UnreadableSlideError
from wsipsm.slide import open_slide
from wsipsm.slide.readers.messages import without_library_messages
from wsipsm.slide.readers.pillow import is_plain


def state() -> tuple[object, ...]:
    levels = tuple(logging.getLogger(name).level for name in ("tifffile", "zarr", "glymur"))
    return levels, tuple(logging.getLogger().filters), tuple(warnings.filters), warnings.showwarning


def test_reads_that_overlap_leave_loggers_and_warnings_as_they_were() -> None:
    before = state()
    first, second = without_library_messages(), without_library_messages()

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    silent = state()
    second.__exit__(None, None, None)

    assert silent[0] == (logging.CRITICAL + 1,) * 3, "while one reads, it is silent"
    assert state() == before


def test_slides_read_by_many_threads_leave_loggers_and_warnings_as_they_were(tmp_path: Path) -> None:
    image = noise(64, 64)
    Pillow.fromarray(image).save(tmp_path / "0.png")
    write_ngff(tmp_path / "1.zarr", image, 0.5)
    before = state()

    def read(number: int) -> int:
        with open_slide(tmp_path / ("0.png", "1.zarr")[number % 2], mpp=0.5) as slide:
            return int((slide.read(slide.grid(0.5).box, slide.grid(0.5)) == image).all())

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(read, range(40))) == 40

    assert state() == before


DAMAGED = {
    "deflate": {"compression": "zlib"},
    "lzw": {"compression": "lzw"},
    "jpeg": {"compression": "jpeg"},
    "tiles": {"compression": "zlib", "tile": (64, 64)},
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_libraries_print_nothing_about_a_damaged_tiff(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(300, 301), photometric="rgb", **DAMAGED[kind])
    whole = path.read_bytes()
    damages = [whole[: len(whole) // 2], whole[:9] + bytes([whole[9] ^ 255]) + whole[10:], whole[:-99] + bytes(99)]
    capfd.readouterr()  # what tifffile says when it writes is not our matter

    for content in (*damages, whole[:200].replace(b"\x01\x03", b"\xff\xff") + whole[200:]):
        path.write_bytes(content)
        with contextlib.suppress(SlideError), open_slide(path, mpp=0.5) as slide:
            slide.read(slide.grid(0.5).box, slide.grid(0.5))

    assert capfd.readouterr() == ("", "")


def test_dicom_that_is_none_is_refused_without_a_word_of_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "a.db", "a.dcm"):
        (tmp_path / name).write_bytes(bytes(128) + b"DICM" + bytes(99))
        with pytest.raises(UnreadableSlideError, match="TIAToolbox cannot open it"):
            open_slide(tmp_path / name, mpp=0.5)
    gc.collect()

    assert capfd.readouterr() == ("", "")


def test_a_slow_file_keeps_no_other_waiting(tmp_path: Path) -> None:
    """As one on a network disk that hangs: here a pipe that nobody writes to yet."""
    slow = tmp_path / "slow.png"
    os.mkfifo(slow)
    Pillow.fromarray(noise(8, 8)).save(tmp_path / "quick.png")
    reading = threading.Thread(target=is_plain, args=(slow,), daemon=True)
    reading.start()
    with ThreadPoolExecutor(1) as threads:
        try:
            assert threads.submit(is_plain, tmp_path / "quick.png").result(timeout=60)
        finally:
            slow.write_bytes(b"no image")  # lets go of the reader
            reading.join()

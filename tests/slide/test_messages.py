"""What readers change of the process while they read, and that nothing of it stays."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image as Pillow

from tests.helpers.slide_files import noise, write_ngff
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

    assert silent[0] == (logging.ERROR,) * 3, "while one reads, it is silent"
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

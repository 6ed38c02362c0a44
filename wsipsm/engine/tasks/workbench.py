"""What a worker keeps open between the tiles of a slide, and where its time goes."""

from __future__ import annotations

import functools
import threading
import time
import weakref

from wsipsm.engine.job import JobRef
from wsipsm.engine.reports import Seconds
from wsipsm.nuclei.load import load_recognizer
from wsipsm.nuclei.nets.device import pick_device
from wsipsm.nuclei.recognizer import Recognizer
from wsipsm.slide import Slide


class Stopwatch:
    """Adds up wall seconds by step."""

    def __init__(self) -> None:
        self.seconds: Seconds = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        """Add the time since the last lap to a step."""
        now = time.perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


class Workbench:
    """Job of one slide; slide and network too, on workers that make maps."""

    def __init__(self, ref: JobRef) -> None:
        self.job = ref.load()
        self._lock = threading.Lock()
        self._tools: tuple[Slide, Recognizer] | None = None

    def tools(self, *, in_place: bool = False) -> tuple[Slide, Recognizer]:
        """Open slide and loaded network, the same for all threads; once one asks for the slide in place, for all."""
        with self._lock:
            slide, recognizer = self._tools or (None, None)
            if slide is None or (in_place and slide.path != self.job.task.slide):
                slide = self.job.open(in_place=in_place)
                weakref.finalize(self, slide.close)  # not earlier: a thread may read while the bench is dropped
            if recognizer is None:
                recognizer = load_recognizer(self.job.calibration_file, device=pick_device(self.job.task.device))
            self._tools = slide, recognizer
            return self._tools


_ONE_AT_A_TIME = threading.Lock()


def workbench(ref: JobRef) -> Workbench:
    """Workbench of a job; a worker keeps those of the last two."""
    with _ONE_AT_A_TIME:
        return _kept_workbench(ref)


@functools.lru_cache(maxsize=2)
def _kept_workbench(ref: JobRef) -> Workbench:
    return Workbench(ref)

"""Whether this machine and a cluster can do the work, found by doing a little of it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from wsipsm.config import ScheduleConfig, load_config
from wsipsm.errors import OutputError, WsipsmError
from wsipsm.gpus import gpu_names
from wsipsm.lock import is_locked, locked
from wsipsm.pipeline import Request, run
from wsipsm.provenance import make_folder, versions
from wsipsm.samples import HE_FIELD_MPP, he_field
from wsipsm.schedule import connect, worker_versions
from wsipsm.slide import open_slide, openslide_versions
from wsipsm.state import Quiet

LEAST_GB = 5
EXPECTED_CELLS = (200, 2000)
"""Cells that the shipped segmenter finds in the sample field, loosely."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    good: bool
    found: str


def examine(*, out: Path | None = None, scheduler: str | None = None) -> Iterator[Check]:
    """Checks, as they are made; one that fails never hides the next."""
    steps: list[tuple[str, Callable[[], str]]] = [
        ("versions", lambda: ", ".join(f"{name} {version}" for name, version in versions().items())),
        ("devices", _devices),
        ("OpenSlide", openslide_versions),
        ("disk", lambda: _disk(out)),
        ("Dask", lambda: _dask(scheduler)),
        ("self-test", _self_test),
    ]
    if out is not None:
        steps.insert(4, ("output folder", lambda: _folder(out)))
    for name, step in steps:
        try:
            yield Check(name, good=True, found=step())
        except (WsipsmError, OSError, RuntimeError, ImportError) as error:
            yield Check(name, good=False, found=" ".join(str(error).split()))


def _devices() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = gpu_names()
    return f"{cores} CPU cores, {psutil.virtual_memory().total / 1e9:.0f} GB, {', '.join(gpus) or 'no CUDA GPU'}"


def _disk(out: Path | None) -> str:
    places = {"output": out or Path(), "temporary files": Path(tempfile.gettempdir())}
    found = []
    for name, place in places.items():
        standing = next(one for one in (place.absolute(), *place.absolute().parents) if one.exists())
        free = shutil.disk_usage(standing).free / 1e9
        if free < LEAST_GB:
            raise OutputError(f"{free:.1f} GB free for {name} at {standing}, expected {LEAST_GB} or more")
        found.append(f"{free:.0f} GB free for {name} at {standing}")
    return ", ".join(found)


def _folder(out: Path) -> str:
    if is_locked(out):
        return f"{out}: a run works on it"
    with locked(make_folder(out)):
        return f"{out}: files can be written, replaced and locked"


def _dask(scheduler: str | None) -> str:
    config = ScheduleConfig(workers=1)
    with connect(config, scheduler=scheduler) as pool:
        found = worker_versions(pool.client)
        return (
            f"{scheduler or 'local cluster'}: {len(found)} workers with {pool.threads} threads, same versions as here"
        )


def _self_test() -> str:
    """Run the main job on the sample field, on this machine."""
    field, start = he_field(), time.perf_counter()
    with open_slide(field, mpp=HE_FIELD_MPP) as slide:
        size = f"{slide.width_l0} x {slide.height_l0} px"
    with tempfile.TemporaryDirectory() as folder:
        config = load_config("he", ("schedule.workers=1", "schedule.processes=false"))
        request = Request([str(field)], Path(folder), config, slide_mpp=HE_FIELD_MPP)
        (state,) = run(request, Quiet())
    least, most = EXPECTED_CELLS
    if state.status != "done" or not least <= state.cells <= most:
        raise OutputError(f"{state.status}, {state.cells} cells, expected {least} to {most}: {state.error}")
    return f"{state.cells} cells in a field of {size}, {time.perf_counter() - start:.1f} s"

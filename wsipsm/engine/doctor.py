"""Whether this machine and a cluster can do the work, found by doing a little of it."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from wsipsm.config import ScheduleConfig, load_config
from wsipsm.core.errors import OutputError, ScheduleError, WsipsmError, describe_error
from wsipsm.core.files import make_folder, write_bytes
from wsipsm.core.gpus import gpu_names
from wsipsm.core.lock import is_locked, locked
from wsipsm.core.versions import versions
from wsipsm.engine.cluster import connect
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.engine.state import Quiet
from wsipsm.slide import open_slide, openslide_versions
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

LEAST_GB = 5
_PROBE = ".wsipsm-probe-"
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
    if out is not None and scheduler is not None:
        steps.insert(6, ("shared folder", lambda: _shared(scheduler, out)))
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
    with connect(ScheduleConfig(workers=1), scheduler=scheduler) as pool:
        pool.wait_for_answers()
        fitting = f"{scheduler or 'local cluster'}: {len(pool.workers)} workers with {pool.threads} threads"
        if pool.left_out:
            left_out = "; ".join(f"worker {address}: {reason}" for address, reason in sorted(pool.left_out.items()))
            raise ScheduleError(f"{fitting}, and {len(pool.left_out)} that are left out: {left_out}")
        return f"{fitting}, same versions as here"


def _shared(scheduler: str, out: Path) -> str:
    """Write here and read on every worker, and the other way round."""
    folder, host, token = make_folder(out.absolute()), socket.gethostname(), uuid.uuid4().hex[:8]
    probe = folder / f"{_PROBE}{token}"
    with connect(ScheduleConfig(workers=1), scheduler=scheduler) as pool:
        pool.wait_for_answers()
        write_bytes(probe, token.encode())
        try:
            answers = pool.ask(partial(_exchange, probe, token))
            wrong = {address: reason for address, answer in answers.items() if (reason := _unshared(answer, folder))}
        finally:
            for file in folder.glob(f"{_PROBE}{token}*"):
                file.unlink(missing_ok=True)
    if wrong:
        found = "; ".join(f"worker {address} {reason}" for address, reason in sorted(wrong.items()))
        raise OutputError(f"{folder}, seen from {host}: {found}; mount the same file system on both, at the same path")
    hosts = sorted({answer[0] for answer in answers.values()})
    return f"{folder}: {len(answers)} workers on {', '.join(hosts)} read what {host} writes, and the other way round"


def _exchange(probe: Path, token: str) -> tuple[str, str, str]:
    """On a worker: read the client's probe, answer with one; host, name of the answer and what went wrong."""
    host, answer = socket.gethostname(), f"{probe.name}-{uuid.uuid4().hex[:8]}"
    try:
        if probe.read_text() != token:
            return host, "", "reads something else there"
        write_bytes(probe.with_name(answer), token.encode())
    except FileNotFoundError:
        return host, "", "does not see this folder"
    except (OSError, OutputError) as error:
        return host, "", f"cannot use this folder ({error})"
    return host, answer, ""


def _unshared(answer: Any, folder: Path) -> str:
    """What is wrong with an answer of a worker; empty where its probe is here."""
    if isinstance(answer, BaseException):
        return f"did not answer ({describe_error(answer)})"
    host, name, wrong = answer
    return (
        f"on host {host} {wrong or 'writes what cannot be seen here'}"
        if not (name and (folder / name).exists())
        else ""
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

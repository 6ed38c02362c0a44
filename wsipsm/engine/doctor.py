"""Checks of this machine and a cluster, each by trying."""

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
from wsipsm.slide import open_slide, openslide_versions
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

LEAST_GB = 5
"""Free disk space below which a check fails, 10^9 bytes."""
_PROBE = ".wsipsm-probe-"
EXPECTED_CELLS = (200, 2000)
"""Fewest and most cells that the shipped segmenter may find in the sample field."""


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    name : str
        What was checked.
    good : bool
        Whether it passed.
    found : str
        What was found; of a check that failed, what is wrong and what to do.
    """

    name: str
    good: bool
    found: str


def examine(*, out: Path | None = None, scheduler: str | None = None) -> Iterator[Check]:
    """Results of all checks, each as soon as it is made; one that fails does not stop the others."""
    steps: list[tuple[str, Callable[[], str]]] = [
        ("versions", lambda: ", ".join(f"{name} {version}" for name, version in versions().items())),
        ("devices", _devices),
        ("OpenSlide", openslide_versions),
        ("disk", partial(_disk, out)),
        *([("output folder", partial(_folder, out))] if out else []),
        ("Dask", partial(_dask, scheduler)),
        *([("shared folder", partial(_shared, scheduler, out))] if out and scheduler else []),
        ("self-test", _self_test),
    ]
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
        folder = next(one for one in (place.absolute(), *place.absolute().parents) if one.exists())
        free = shutil.disk_usage(folder).free / 1e9
        if free < LEAST_GB:
            raise OutputError(f"{free:.1f} GB free for {name} at {folder}, expected {LEAST_GB} or more")
        found.append(f"{free:.0f} GB free for {name} at {folder}")
    return ", ".join(found)


def _folder(out: Path) -> str:
    if is_locked(out):
        return f"{out}: in use by a run"
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
    """Write a probe here and read it on every worker, and the other way round."""
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
    """On a worker: read the probe of the client and write one; host, name of that one, and what went wrong."""
    host, answer = socket.gethostname(), f"{probe.name}-{uuid.uuid4().hex[:8]}"
    try:
        if probe.read_text() != token:
            return host, "", "reads another content there"
        write_bytes(probe.with_name(answer), token.encode())
    except FileNotFoundError:
        return host, "", "does not see this folder"
    except (OSError, OutputError) as error:
        return host, "", f"cannot use this folder ({error})"
    return host, answer, ""


def _unshared(answer: Any, folder: Path) -> str:
    """What is wrong with the answer of a worker; empty where its probe is visible here."""
    if isinstance(answer, BaseException):
        return f"did not answer ({describe_error(answer)})"
    host, name, wrong = answer
    if name and (folder / name).exists():
        return ""
    return f"on host {host} {wrong or 'writes what cannot be seen here'}"


def _self_test() -> str:
    """Find the cells of the sample field on this machine."""
    field, start = he_field(), time.perf_counter()
    with open_slide(field, mpp=HE_FIELD_MPP) as slide:
        size = f"{slide.width_l0} x {slide.height_l0} px"
    with tempfile.TemporaryDirectory() as folder:
        config = load_config("he", ("schedule.workers=1", "schedule.processes=false"))
        request = Request([str(field)], Path(folder), config, slide_mpp=HE_FIELD_MPP)
        (state,) = run(request)
    least, most = EXPECTED_CELLS
    if state.status != "done" or not least <= state.cells <= most:
        raise OutputError(f"{state.status}, {state.cells} cells, expected {least} to {most}: {state.error}")
    return f"{state.cells} cells in a field of {size}, {time.perf_counter() - start:.1f} s"

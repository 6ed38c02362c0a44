"""Calibrate the recogniser to a slide: learn, freeze and store what is applied to every tile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.files import write_once
from wsipsm.core.geometry import Box
from wsipsm.engine.job import Job, JobRef
from wsipsm.engine.reports import Seconds
from wsipsm.engine.tasks.workbench import Stopwatch
from wsipsm.nuclei.calibrate import calibrate_segmenter
from wsipsm.nuclei.load import fits
from wsipsm.nuclei.nets.checkpoint import load_checkpoint, save_checkpoint
from wsipsm.nuclei.nets.device import limited_threads, pick_device
from wsipsm.nuclei.recognizer import Recognizer
from wsipsm.slide import Slide
from wsipsm.tissue.sampling import Images, patch_boxes, read_boxes

if TYPE_CHECKING:
    from wsipsm.nuclei.learning import Progress

WINDOWS, WINDOW_PX = 16, 256
"""Number and side, grid px, of the windows in which a segmenter's levels are found."""


def calibrate(ref: JobRef, *, progress: Callable[[dict[str, Any]], None]) -> Seconds:
    """Store the calibration of a slide, unless it is there; returns where the time went.

    Another worker's stays: its tiles may be under way, and another machine's bits may differ.
    """
    job, watch = ref.load(), Stopwatch()
    if job.calibration_file.exists():
        return watch.seconds
    slide, checkpoint = job.open(), job.task.checkpoint
    with slide:
        fitted_on = _constants_key(job.fingerprint(slide), job)
        if checkpoint is not None and fits(checkpoint, fitted_on):
            found = load_checkpoint(checkpoint)
            write_once(job.calibration_file, lambda draft: save_checkpoint(draft, found))
            return watch.seconds
        patches = _read_patches(slide, patch_boxes(job.region, job.grid, job.config.encoder), job)
        windows = _read_patches(slide, _windows(job), job) if job.config.recognizer.method == "segmenter" else None
        watch.lap("read")
        recognizer = _calibrated(
            patches,
            windows,
            job,
            lambda record: progress({"token": job.task.token, "step": record.step, "steps": record.steps}),
        )
    recognizer.fitted_on = fitted_on
    write_once(job.calibration_file, recognizer.save)
    watch.lap("calibrate")
    return watch.seconds


def _windows(job: Job) -> list[Box]:
    """Boxes in which a segmenter's levels are found; a small slide has few different ones."""
    wanted = job.config.encoder.model_copy(update={"patches": WINDOWS, "patch_px": WINDOW_PX})
    return sorted(set(patch_boxes(job.region, job.grid, wanted)), key=lambda box: (box.y0, box.x0))


def _calibrated(patches: Images, windows: Images | None, job: Job, progress: Progress) -> Recognizer:
    """Recogniser of the slide by the configured method."""
    device = pick_device(job.task.device)
    if job.config.recognizer.method == "segmenter":
        return calibrate_segmenter(patches, job.config, model=job.model, device=device, windows=windows)
    from wsipsm.nuclei.calibrate_psm import calibrate_psm  # by PyTorch, which takes a second to import

    with limited_threads(job.config.encoder.threads):
        return calibrate_psm(patches, job.config, encoder=job.task.checkpoint, device=device, progress=progress)


def _read_patches(slide: Slide, boxes: list[Box], job: Job) -> Images:
    """Patches that can be read; what became of the slide's copy on a fast disk must change nothing."""
    if slide.path == job.task.slide:
        return read_boxes(slide, boxes, job.grid)
    try:
        return read_boxes(slide, boxes, job.grid, least=1)
    except UnreadableSlideError:
        with job.open(in_place=True) as well:
            return read_boxes(well, boxes, job.grid)


def _constants_key(fingerprint: str, job: Job) -> str:
    """Hash of slide and settings that its constants depend on; where it is the same, an earlier calibration is reused.

    The region is left out on purpose: what was found on a whole slide may be applied to a part of it.
    """
    keys, around = job.config.result_keys(), job.config.classes.around_nuclei
    used = [keys[name] for name in ("segmenter", "labels", "pseudomask") if name in keys]
    settings = orjson.dumps([fingerprint, job.grid.mpp, keys["recognizer"], around, used])
    return hashlib.sha256(settings).hexdigest()

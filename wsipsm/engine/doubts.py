"""What in a slide's results a reader should doubt, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsipsm.engine.job import Job
from wsipsm.nuclei.levels import LEAST_CELLS
from wsipsm.nuclei.resolution import NuclearScale
from wsipsm.stain.doubts import unexpected_stain
from wsipsm.stain.normalise import SlideStats

MANY_SHARE, MANY_CELLS = 0.3, 50
"""Share of all cells, and number, from which on refused cells are many."""


_REASONS = {
    "low_confidence": "their own low confidence",
    "dye": "the colour of dye",
    "unlike_nuclei": "surroundings that look unlike nuclei",
}


def doubts(job: Job, calibration: Mapping[str, Any], *, written: int, refused: Mapping[str, int]) -> tuple[str, ...]:
    """Warnings of a slide on which cells were sought.

    Parameters
    ----------
    job : Job
        Its job.
    calibration : dict
        Constants of the slide, as in ``run.json``; empty where there was no tissue.
    written : int
        Cells that are written.
    refused : dict
        Refused cells by reason.
    """
    found = (
        _of_resolution(job, calibration),
        _of_stain(job, calibration),
        _of_levels(job, calibration),
        _of_refused(job, written, refused),
    )
    return tuple(text for text in found if text)


def _of_resolution(job: Job, calibration: Mapping[str, Any]) -> str:
    table = calibration.get("levels", {}).get("nuclear_scale")
    scale = NuclearScale(**table) if table else None
    return scale.warning(job.grid.mpp / job.grid.downsample) if scale and scale.doubtful else ""


def _of_stain(job: Job, calibration: Mapping[str, Any]) -> str:
    table = calibration.get("stats")
    return unexpected_stain(SlideStats.from_dict(table), job.config.recognizer.stain) if table else ""


def _of_levels(job: Job, calibration: Mapping[str, Any]) -> str:
    levels = calibration.get("levels")
    if levels is None or levels["cells"] >= LEAST_CELLS:
        return ""
    mpp_l0 = job.grid.mpp / job.grid.downsample
    own = "the model of --checkpoint learnt too little, " if job.task.checkpoint else ""
    return (
        f"only {levels['cells']} clear nuclei were seen to calibrate on, {LEAST_CELLS} are needed: {own}the slide is "
        f"pale, out of focus or poor in nuclei, or {mpp_l0:.3g} µm/px is wrong (--slide-mpp)"
    )


def _of_refused(job: Job, written: int, refused: Mapping[str, int]) -> str:
    many = sum(refused.values())
    total = written + (0 if job.config.cells.keep_doubtful else many)
    if many < max(MANY_CELLS, MANY_SHARE * total):
        return ""
    reasons = " and ".join(f"{count:,} for {_REASONS[reason]}" for reason, count in refused.items() if count)
    return (
        f"{many:,} of {total:,} cells were refused ({reasons}): keratin, debris, folds, dye or blur; "
        "--keep-doubtful writes them, with the class Doubtful"
    )

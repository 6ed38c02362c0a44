"""Why a slide has no cells, and what to do about it."""

from __future__ import annotations

from wsipsm.engine.job import Job


def why_no_cells(job: Job, *, cells: int, failed: bool) -> tuple[str, ...]:
    """Warnings of a slide on which nothing was found; none where there are cells, or tiles that failed.

    Parameters
    ----------
    job : Job
        The slide and its plan.
    cells : int
        Cells found.
    failed : bool
        Whether tiles failed.
    """
    if cells or failed:
        return ()
    if job.region.empty:
        return (job.why_empty,)
    own = " And was the model that was given trained long enough?" if job.task.checkpoint else ""
    return (
        f"no cells found in {job.region_mm2:.4g} mm² (is {job.grid.mpp / job.grid.downsample:.3g} µm/px right, see "
        f"--slide-mpp, and the stain, recognizer.stain={job.config.recognizer.stain}?{own})",
    )

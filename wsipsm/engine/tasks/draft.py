"""Draft folders: results of a slide until they are published."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsipsm.core.files import make_folder
from wsipsm.engine.job import Job, JobRef


@contextmanager
def drafted(ref: JobRef, job: Job) -> Iterator[Path]:
    """A new draft folder of a job, which stays for `publish`; it goes where the block raises, or the job is no more.

    What a worker that died leaves is removed with the scratch of the slide.

    Parameters
    ----------
    ref : JobRef
        The job as the run knows it.
    job : Job
        The same, loaded.

    Raises
    ------
    StaleError
        Another run has taken over, or the slide is over.
    """
    draft = make_folder(job.task.out / f"{job.drafts}{uuid.uuid4().hex[:8]}")
    try:
        yield draft
        ref.load()
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise

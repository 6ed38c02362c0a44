"""Draft folders: results of a slide until they are published."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from wsipsm.core.errors import StaleError
from wsipsm.core.files import make_folder
from wsipsm.engine.job import Job, JobRef


@contextmanager
def drafted(ref: JobRef, job: Job) -> Iterator[Path]:
    """A new draft folder of a job, which stays for `publish`; it goes where the block raises, or nobody wants it.

    What a worker that died leaves, `publish` removes, or the end of the slide.

    Parameters
    ----------
    ref : JobRef
        The job as the run knows it.
    job : Job
        The same, loaded.

    Raises
    ------
    StaleError
        Another run has taken over, the slide is over, or another worker was faster.
    """
    draft = make_folder(job.task.out / f"{job.drafts}{uuid.uuid4().hex[:8]}")
    try:
        yield draft
        ref.load()
        if published_by(job.task.out) == ref.token:
            raise StaleError(f"{job.task.out}: another worker has written the results of this slide")
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def published_by(out: Path) -> str:
    """Token of the run whose results lie in a slide's folder; empty where there are none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(orjson.loads((out / "run.json").read_bytes())["run"])
    return ""

"""Workers that a cluster's own manager starts: SLURM jobs, the GPUs of a machine, Kubernetes pods.

The libraries are extras of the package and imported here alone.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wsipsm.config import RecipeConfig, dump_yaml
from wsipsm.core.errors import ExtraError, ScheduleError

ASK_SECONDS = 10
"""Time limit for an answer of a manager, s."""


@contextlib.contextmanager
def started(recipe: RecipeConfig) -> Iterator[Any]:
    """Cluster of a recipe, which ends with the context; its workers come when its manager gives them.

    Raises
    ------
    ScheduleError
        The manager is not here, or it refuses the options.
    ExtraError
        The package that talks to it is not installed.
    """
    cluster = _STARTERS[recipe.kind](recipe)
    try:
        yield cluster
    finally:
        # A worker that never came makes Dask stumble on its way out; there is nothing left to lose then.
        with contextlib.suppress(AssertionError, OSError, RuntimeError, TimeoutError):
            cluster.close()


def all_jobs_ended(cluster: Any) -> str:
    """Why no worker will come any more, for people; empty while one may, or where the manager is not SLURM.

    Dask waits for a job for ever that ended before its workers said a word.
    """
    jobs = {str(job.job_id): job for job in getattr(cluster, "workers", {}).values() if getattr(job, "job_id", None)}
    if not jobs:
        return ""
    command = ["squeue", "-h", "-j", ",".join(jobs), "-o", "%i"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ASK_SECONDS)
    except (subprocess.TimeoutExpired, OSError):  # a manager that is busy is asked again later
        return ""
    unknown = asked.returncode and "Invalid job id" in asked.stderr
    if asked.stdout.split() or (asked.returncode and not unknown):
        return ""
    logs = next(iter(jobs.values())).log_directory
    return f"all SLURM jobs ({', '.join(jobs)}) ended before their workers came; look at what they printed in {logs}"


def preview(recipe: RecipeConfig) -> str:
    """What would be given to the manager: a job script, or a resource; errors as `started`."""
    if recipe.kind == "slurm":
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),  # for the folder of logs, which is made at once
            contextlib.closing(_slurm_cluster(recipe)) as cluster,
        ):
            return str(cluster.job_script()).strip() + "\n"
    if recipe.kind == "kubernetes":
        return dump_yaml(recipe.options.get("custom_cluster_spec", recipe.options))
    options = ", ".join(f"{name}={value!r}" for name, value in recipe.options.items())
    return f"dask_cuda.LocalCUDACluster({options}, resources={{'GPU': 1}})\n"


def _start_slurm(recipe: RecipeConfig) -> Any:
    cluster = _slurm_cluster(recipe)
    try:
        _try_to_submit(cluster.job_script())
    except ScheduleError:
        cluster.close()
        raise
    # Kept at this number, not scaled to it: jobs that end are submitted again.
    cluster.adapt(minimum_jobs=recipe.jobs, maximum_jobs=recipe.jobs)
    return cluster


def _slurm_cluster(recipe: RecipeConfig) -> Any:
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise ExtraError("slurm", "dask-jobqueue") from None
    any_port = {"scheduler_options": {"dashboard_address": ":0"}}  # another run on this machine may have Dask's own
    try:
        return SLURMCluster(silence_logs=logging.CRITICAL, **any_port | recipe.options)
    except (TypeError, ValueError) as error:
        raise _refused(recipe, error) from None


def _try_to_submit(script: str) -> None:
    """Ask SLURM whether it would take a job, so that a slip does not end as an endless wait for workers."""
    if shutil.which("sbatch") is None:
        raise ScheduleError("sbatch is not here: run this where SLURM jobs can be submitted")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.sh"
        file.write_text(script)
        asked = subprocess.run(["sbatch", "--test-only", str(file)], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise ScheduleError(f"SLURM refuses the job: {' '.join(asked.stderr.split())}; see wsipsm cluster RECIPE")


def _start_cuda(recipe: RecipeConfig) -> Any:
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError:
        raise ExtraError("cuda", "dask-cuda") from None
    try:
        return LocalCUDACluster(resources={"GPU": 1}, silence_logs=logging.CRITICAL, **recipe.options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _refused(recipe, error) from None


def _start_kubernetes(recipe: RecipeConfig) -> Any:
    try:
        import kr8s
        from dask_kubernetes.operator import KubeCluster
    except ImportError:
        raise ExtraError("kubernetes", "dask-kubernetes") from None
    try:
        kr8s.api().version()  # first: what KubeCluster leaves where nobody answers stumbles at exit
        cluster = KubeCluster(quiet=True, **recipe.options)
    except Exception as error:  # of an HTTP client, of a client of Kubernetes, of the operator: they share no base
        raise _refused(recipe, error) from None
    cluster.scale(recipe.jobs)
    return cluster


_STARTERS = {"slurm": _start_slurm, "cuda": _start_cuda, "kubernetes": _start_kubernetes}


def _refused(recipe: RecipeConfig, error: Exception) -> ScheduleError:
    text = " ".join(str(error).split()) or type(error).__name__
    return ScheduleError(f"the {recipe.kind} cluster cannot be started: {text}; check the recipe's options")

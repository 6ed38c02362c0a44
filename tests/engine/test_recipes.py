"""Clusters of others' managers: what would be given to them, and a real SLURM where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml
from dask_kubernetes.operator import make_cluster_spec

from tests.helpers.command import WSIPSM, wsipsm, wsipsm_process
from tests.helpers.killed import finished_tiles
from tests.helpers.results import cells_of
from wsipsm.config import load_recipe, packaged_recipes
from wsipsm.core.errors import ConfigError
from wsipsm.engine.cluster import preview


def changed(tmp_path: Path, name: str, **options: object) -> Path:
    """A packaged recipe with other options, in a file of its own."""
    table = yaml.safe_load(packaged_recipes()[name].read_text())
    table["options"] |= options
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(table))
    return path


def test_the_job_script_is_what_slurm_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    done = wsipsm("cluster", "slurm")

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("#!")
    header = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert header == [
        "-J wsipsm",
        "-e wsipsm-logs/wsipsm-%J.err",
        "-o wsipsm-logs/wsipsm-%J.out",
        "-n 1",
        "--cpus-per-task=8",
        "--mem=23G",
        "-t 24:00:00",
        "--no-requeue",
    ]
    assert lines[-2] == "export OMP_NUM_THREADS=1 MALLOC_ARENA_MAX=1"
    command = lines[-1].split()
    assert command[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert command[command.index("--nworkers") + 1] == "8"
    assert command[command.index("--nthreads") + 1] == "1"
    assert "--lifetime 23.5h" in lines[-1]
    assert not list(tmp_path.iterdir()), "only looked at"


def test_the_page_on_archives_shows_that_script() -> None:
    page = (Path(__file__).parents[2] / "docs" / "archives.md").read_text()
    script = preview(load_recipe("slurm")).replace(sys.executable, "python")

    assert re.sub(r"tcp://\S+", "tcp://login:38000", script).strip() in page


def test_the_gpu_job_starts_one_worker_a_gpu() -> None:
    script = preview(load_recipe("slurm-gpu"))

    assert "#SBATCH --gres=gpu:4" in script
    assert "-m dask_cuda.cli worker tcp://" in script
    assert "--resources GPU=1" in script


def assert_known(value: Any, kind: str, where: str) -> None:
    """Every key is one that Kubernetes knows, by its own client's models."""
    if kind.startswith("list["):
        for number, item in enumerate(value):
            assert_known(item, kind[5:-1], f"{where}[{number}]")
    elif hasattr(kubernetes.client, kind):
        model = getattr(kubernetes.client, kind)
        names = {spelt: name for name, spelt in model.attribute_map.items()}
        for key, item in value.items():
            assert key in names, f"{where}.{key}"
            assert_known(item, model.openapi_types[names[key]], f"{where}.{key}")


def test_the_kubernetes_resource_is_one_that_the_operator_knows() -> None:
    resource = yaml.safe_load(preview(load_recipe("kubernetes")))
    made = make_cluster_spec("wsipsm", image="registry.example/wsipsm:0.1.0", n_workers=16)

    assert {key: resource[key] for key in ("apiVersion", "kind", "metadata")} == {
        key: made[key] for key in ("apiVersion", "kind", "metadata")
    }
    spec, theirs = resource["spec"], made["spec"]
    assert spec.keys() == theirs.keys()
    assert spec["worker"].keys() == theirs["worker"].keys()
    assert spec["scheduler"].keys() == theirs["scheduler"].keys()
    assert spec["scheduler"]["service"]["selector"] == theirs["scheduler"]["service"]["selector"]
    assert_known(spec["worker"]["spec"], "V1PodSpec", "worker")
    assert_known(spec["scheduler"]["spec"], "V1PodSpec", "scheduler")
    assert_known(spec["scheduler"]["service"], "V1ServiceSpec", "service")


def test_a_recipe_is_saved_to_be_edited_and_found_again(tmp_path: Path) -> None:
    saved = tmp_path / "mine.yaml"

    assert wsipsm("cluster", "slurm", "--save", saved).returncode == 0
    saved.write_text(saved.read_text().replace("queue: null", "queue: long"))

    assert "#SBATCH -p long" in wsipsm("cluster", saved).stdout
    assert "is there already" in wsipsm("cluster", "slurm", "--save", saved).stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: pbs\n", "kind"),
        ("kind: slurm\njobz: 3\n", "unknown key jobz, did you mean 'jobs'"),
        ("kind: slurm\njobs: 0\n", "jobs"),
        ("jobs: 3\n", "kind"),
    ],
)
def test_a_recipe_that_is_none_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "r.yaml").write_text(text)

    with pytest.raises(ConfigError, match=told):
        load_recipe(str(tmp_path / "r.yaml"))


def test_an_unknown_name_lists_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match="cuda, kubernetes, slurm-gpu, slurm"):
        load_recipe("lsf")


def test_an_option_that_dask_does_not_know_is_named(tmp_path: Path) -> None:
    done = wsipsm_process("cluster", changed(tmp_path, "slurm", partition="long"))

    assert done.returncode == 1
    assert "unexpected keyword argument 'partition'" in done.stderr
    assert "check the recipe's options" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has GPUs")
def test_an_extra_that_is_not_installed_is_named(slide: Path, tmp_path: Path) -> None:
    done = wsipsm("run", slide, "-o", tmp_path / "out", "--cluster", "cuda")

    assert done.returncode == 1
    assert "pip install 'wsipsm[cuda]'" in done.stderr


def test_a_kubernetes_that_is_not_there_is_said(slide: Path, tmp_path: Path) -> None:
    done = wsipsm_process("run", slide, "-o", tmp_path / "out", "--cluster", "kubernetes")

    assert done.returncode == 1
    assert "the kubernetes cluster cannot be started" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_clusters_at_once_are_refused(slide: Path, tmp_path: Path) -> None:
    done = wsipsm("run", slide, "-o", tmp_path / "out", "--scheduler", "tcp://a:1", "--cluster", "slurm")

    assert done.returncode == 1
    assert "give one of them" in done.stderr


@pytest.fixture
def slurm() -> None:
    """A SLURM that takes jobs of one core; the test is skipped where there is none."""
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode:
        pytest.skip("no SLURM here")


@pytest.mark.usefixtures("slurm")
def test_slurm_jobs_do_the_work_and_one_that_is_cancelled_is_submitted_again(
    slide: Path, whole: Path, tmp_path: Path
) -> None:
    small = {"cores": 1, "processes": 1, "memory": "3GB", "walltime": "00:20:00", "log_directory": str(tmp_path / "l")}
    recipe = changed(tmp_path, "slurm", **small)
    recipe.write_text(recipe.read_text().replace("jobs: 10", "jobs: 1"))
    out = tmp_path / "out"
    command = [WSIPSM, "run", slide, "-o", out, "--cluster", recipe, "--encoder", whole / "calibration.safetensors"]
    command += ["--set", "tiles.core_px=256"]

    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(finished_tiles(out)) < 4 and process.poll() is None:
        time.sleep(0.05)
    jobs = subprocess.run(["squeue", "-h", "-n", "wsipsm", "-o", "%i"], capture_output=True, text=True, check=True)
    subprocess.run(["scancel", *jobs.stdout.split()], check=True)
    _, told = process.communicate(timeout=300)

    assert process.returncode == 0, told
    assert len(jobs.stdout.split()) == 1
    assert "waiting for workers" in told
    assert cells_of(out / slide.stem).equals(cells_of(whole))


@pytest.mark.usefixtures("slurm")
def test_a_job_that_slurm_refuses_is_said_at_once(slide: Path, tmp_path: Path) -> None:
    recipe = changed(tmp_path, "slurm", queue="nowhere", log_directory=str(tmp_path / "logs"))

    done = wsipsm("run", slide, "-o", tmp_path / "out", "--cluster", recipe)

    assert done.returncode == 1
    assert "SLURM refuses the job" in done.stderr
    assert "nowhere" in done.stderr or "partition" in done.stderr


@pytest.mark.usefixtures("slurm")
def test_jobs_that_end_before_they_begin_are_not_waited_for_for_ever(slide: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    options = {"cores": 1, "processes": 1, "memory": "3GB", "log_directory": str(logs)}
    recipe = changed(tmp_path, "slurm", **options, worker_extra_args=["--no-such-option"])

    done = wsipsm("run", slide, "-o", tmp_path / "out", "--cluster", recipe)

    assert done.returncode == 1
    assert f"ended before their workers came; look at what they printed in {logs}" in done.stderr

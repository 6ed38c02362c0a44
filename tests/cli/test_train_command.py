"""The commands as a user types them: output, exit codes, progress, the paper's method."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from wsipsm.cli.train_progress import train_watcher
from wsipsm.slide.sample import he_field
from wsipsm.training.paper.inputs import paper_images

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))
TINY_PAPER = (
    "data.crop_px=96",
    "encoder.name=test_resnet",
    "encoder.epochs=1",
    "points.name=test_resnet",
    "points.epochs=1",
    "points.threshold=0.4",
    "segmenter.name=test_resnet",
    "segmenter.epochs=1",
)


def wsipsm(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([WSIPSM, *arguments], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("field") / "field.png"
    Image.open(he_field()).convert("RGB").crop((0, 0, 400, 400)).save(path)
    return path


def test_the_paper_is_trained_by_the_same_command(field: Path, tmp_path: Path) -> None:
    settings = [part for setting in TINY_PAPER for part in ("--set", setting)]
    command = ["train", str(field), "-o", str(tmp_path), "--config", "paper", "--slide-mpp", "0.25", *settings]

    done = wsipsm(*command)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "paper" / "segmenter.pt").is_file()
    assert done.stdout.startswith(str(tmp_path / "paper" / "segmenter.pt"))
    assert "segmenter: 1/1, loss" in done.stderr
    assert wsipsm(*command, "--seed", "5", "--fresh").returncode == 0


def test_the_paper_without_timm_names_the_extra_and_writes_nothing(field: Path, tmp_path: Path) -> None:
    arguments = ["wsipsm", "train", str(field), "-o", str(tmp_path / "out"), "--config", "paper", "--slide-mpp", "0.25"]
    blocked = (
        f"import sys; sys.modules['timm'] = None; sys.argv = {arguments}; from wsipsm.cli.main import main; main()"
    )

    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == "wsipsm: timm is not installed: pip install 'wsipsm[paper]'\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config", "paper", "--stage", "pretrain"], "--config paper knows no --stage"),
        (["--set", "training.stepz=3"], "did you mean 'steps'"),
        (["--config", "nothing"], "expected one of"),
        (["--stage", "some"], "some"),
        (["--init", "missing.pt"], "no such file"),
        ([], "--slide-mpp"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], told: str, field: Path, tmp_path: Path) -> None:
    done = wsipsm("train", str(field), "-o", str(tmp_path / "out"), *arguments)

    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_plain_images_are_taken_whole_and_slides_as_fields(field: Path, slide: Path) -> None:
    images, skipped = paper_images([str(field), str(slide)], mpp=0.25, side_px=256, seed=0, slide_mpp=0.25)

    assert not skipped
    assert images[0][0] == "field"
    assert images[0][1].shape == (400, 400, 3)
    assert [name for name, _ in images[1:]] == [f"mosaic-{n}" for n in range(1, len(images))]
    assert len(images) == 9
    assert all(image.shape == (256, 256, 3) for _, image in images[1:])


def test_plain_lines_say_stage_step_and_loss() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=40)
    with train_watcher(console) as watcher:
        watcher.began("segmenter, round 0", 50)
        for step in range(1, 51):
            watcher.moved(step, 1 / step)
        watcher.said("left out: a.svs: [no] tissue")

    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "segmenter, round 0: 1/50, loss 1.0000"
    assert lines[1] == "segmenter, round 0: 50/50, loss 0.0200"
    assert lines[2] == "left out: a.svs: [no] tissue"


def test_a_terminal_shows_a_bar_of_each_stage() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with train_watcher(console) as watcher:
        watcher.began("fields", 2)
        watcher.moved(2)
        watcher.began("segmenter, round 0", 50)
        watcher.moved(25, 0.5)

    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "fields" in shown
    assert "25/50, loss 0.5000" in shown

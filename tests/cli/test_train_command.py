"""The commands as a user types them: output, exit codes, progress, the paper's method."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.command import WSIPSM, wsipsm
from wsipsm.slide.sample import he_field
from wsipsm.training.paper.inputs import paper_images

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
    assert (tmp_path / "paper" / "segmenter.safetensors").is_file()
    assert done.stdout.startswith(str(tmp_path / "paper" / "segmenter.safetensors"))
    assert "segmenter: 1/1, loss" in done.stderr
    copy = tmp_path / "mine.yaml"
    copy.write_text(wsipsm("config", "show", "paper", *settings).stdout)
    command = ["train", str(field), "-o", str(tmp_path), "--config", str(copy), "--slide-mpp", "0.25"]
    again = wsipsm(*command, "--seed", "5", "--fresh")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "paper" / "training.json").read_text())["settings"]["training"]["seed"] == 5


def test_the_paper_without_timm_names_the_extra_and_writes_nothing(field: Path, tmp_path: Path) -> None:
    arguments = ["wsipsm", "train", str(field), "-o", str(tmp_path / "out"), "--config", "paper", "--slide-mpp", "0.25"]
    blocked = (
        f"import sys; sys.modules['timm'] = None; sys.argv = {arguments}; from wsipsm.cli.main import main; main()"
    )

    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr == "wsipsm: timm is not installed: pip install 'wsipsm[paper]'\n"
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_a_training_with_advice_and_its_exit_code(field: Path, tmp_path: Path) -> None:
    command = [WSIPSM, "pretrain", field, "-o", tmp_path, "--slide-mpp", "0.25", "--fresh"]
    tiny = ("encoder.steps=1000000", "encoder.batch=2", "encoder.width=4", "training.patch_px=64")
    settings = [part for setting in tiny for part in ("--set", setting)]
    with subprocess.Popen([*command, *settings], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        while lines[-1] and not lines[-1].startswith("encoder: "):
            lines.append(process.stderr.readline())
        process.send_signal(signal.SIGINT)
        lines += process.stderr

    assert process.returncode == 130, lines
    assert lines[-1] == "wsipsm: stopped; the same command without --fresh goes on where it was\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config", "paper", "--stage", "pretrain"], "without --stage"),
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

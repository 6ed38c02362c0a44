"""Pseudo labels by hue, and a training on them from an image of immunohistochemistry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from PIL import Image
from skimage.draw import disk
from skimage.filters import gaussian

from wsipsm.config import Config, load_config
from wsipsm.core.errors import CheckpointError, ConfigError
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.nets.device import limited_threads, pick_device
from wsipsm.stain.normalise import measure_slide
from wsipsm.stain.registry import HDAB_VECTORS
from wsipsm.training.pipeline import TrainRequest, train
from wsipsm.training.pseudo_labels import hue_labels

TINY = ("training.threads=1", "training.widths=[4,8]", "training.patch_px=64", "training.batch=2")
SHORT = ("training.steps=6", "training.round_steps=4")


def painted(nuclei: list[tuple[int, int, int, float, float]]) -> npt.NDArray[np.uint8]:
    """Nuclei (y, x, radius, haematoxylin, DAB) on hazy tissue of 200 x 200 px, later ones over earlier ones."""
    amounts = np.zeros((200, 200, 2))
    for y, x, radius, *stain in nuclei:
        amounts[disk((y, x), radius)] = stain
    noise = np.random.default_rng(0).normal(0, 0.005, (200, 200, 3))
    density = np.array([0.06, 0.07, 0.09]) + gaussian(amounts, 0.6, channel_axis=-1) @ np.array(HDAB_VECTORS[:2])
    return np.clip(np.rint(256 * 10.0 ** -(density + noise) - 1), 0, 255).astype(np.uint8)


def labels_of(image: npt.NDArray[np.uint8], config: Config) -> npt.NDArray[np.int32]:
    return hue_labels(image, measure_slide(image[None], "ihc"), config).labels


def test_a_pale_nucleus_that_touches_a_black_one_is_one_of_its_own() -> None:
    image = painted([(60, 60, 10, 0.25, 0.0), (60, 77, 9, 0.3, 1.8), (140, 140, 9, 0.3, 0.0), (140, 60, 9, 0.1, 0.8)])

    labels = labels_of(image, load_config("ihc"))

    at = [labels[60, 58], labels[60, 78], labels[140, 140], labels[140, 60]]
    assert len(set(at)) == 4
    assert 0 not in at
    assert labels.max() == 4
    assert np.bincount(labels.ravel())[at[0]] * 0.25 == pytest.approx(np.pi * 25, rel=0.35)


def test_what_is_narrow_is_no_nucleus() -> None:
    image = painted([(60, 60, 9, 0.4, 0.0)])
    image[120:123, 40:160] = painted([(100, 100, 90, 0.4, 0.0)])[100, 100]

    assert labels_of(image, load_config("ihc")).max() == 1


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "ihc.png"
    Image.fromarray(skimage.data.immunohistochemistry()[:320, :320]).save(path)
    return path


def request(image: Path, out: Path, *settings: str, **options: object) -> TrainRequest:
    config = load_config("ihc", (*TINY, *SHORT, *settings))
    return TrainRequest([str(image)], out, config, slide_mpp=0.5, **options)  # type: ignore[arg-type]


def test_a_training_by_hue_needs_no_encoder_and_ends_with_a_report(image: Path, tmp_path: Path) -> None:
    with limited_threads(1):
        model = train(request(image, tmp_path / "model"))

    net = load_segmenter(model, mpp=0.5, stain="ihc", device=pick_device("cpu"))
    assert net.network.shape.logarithm
    assert (tmp_path / "model" / "training.html").stat().st_size > 10_000
    assert not (tmp_path / "model" / "encoder.safetensors").exists()
    with pytest.raises(CheckpointError, match=r"recognizer\.stain=ihc"):
        load_segmenter(model, mpp=0.5, stain="he", device=pick_device("cpu"))


def test_there_is_no_encoder_to_pretrain(image: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no encoder to pretrain"):
        train(request(image, tmp_path / "model", stage="pretrain"))

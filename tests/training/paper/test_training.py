"""The paper's training end to end on the packaged settings made small: killed, resumed, refused, used."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from skimage.draw import disk

from wsipsm.config import load_config
from wsipsm.core.errors import CheckpointError, ConfigError, FitError, OutputError
from wsipsm.core.events import Event
from wsipsm.training.paper.folder import PaperFolder
from wsipsm.training.paper.maps import activation_map
from wsipsm.training.paper.model import PaperModel, load_encoder
from wsipsm.training.paper.pipeline import centre_crops, train_paper
from wsipsm.training.paper.settings import PaperSettings, load_paper_settings

CPU = "cpu"
SMALL = (
    "data.crop_px=96",
    "training.save_every=2",
    "encoder.name=test_resnet",
    "encoder.epochs=1.5",
    "points.name=test_resnet",
    "points.epochs=3",
    "points.batch=2",
    "points.threshold=0.4",
    "segmenter.name=test_resnet",
    "segmenter.epochs=3",
    "segmenter.batch=2",
)


def stained(seed: int, side: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), (228, 170, 205), np.float64)
    for y, x in rng.integers(10, side - 10, (9, 2)):
        image[disk((y, x), 9, shape=(side, side))] = (95, 60, 150)
    return (image + rng.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)


IMAGES = [("one", stained(0, 128)), ("two", stained(1, 100))]


@pytest.fixture(scope="module")
def settings() -> PaperSettings:
    return load_paper_settings("paper", SMALL)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def trained(settings: PaperSettings, events: list[Event], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("paper") / "out"
    train_paper(IMAGES, settings, out=out, device=CPU, on_event=events.append)
    return out


def tensors(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(path)
    return found


def test_every_stage_reports_every_step(trained: Path, events: list[Event]) -> None:
    steps = {"encoder": 3, "masks": 2, "points": 3, "voronoi": 2, "segmenter": 3}

    found = [(event.kind, event.text, event.step, event.steps) for event in events]
    assert found == [("step" if i else "stage", s, i, n) for s, n in steps.items() for i in range(n + 1)]
    learnt = {event.text for event in events if event.loss is not None}
    assert learnt == {"encoder", "points", "segmenter"}
    assert all(event.loss is not None for event in events if event.kind == "step" and event.text in learnt)
    assert sorted(str(path.relative_to(trained)) for path in trained.glob("*/*")) == [
        "paper/encoder.safetensors", "paper/masks", "paper/segmenter.safetensors", "paper/training.json",
        "paper/voronoi",
    ]  # fmt: skip
    assert [path.name for path in trained.iterdir()] == ["paper"]


def test_a_training_killed_again_and_again_ends_with_the_same_bits(
    trained: Path, events: list[Event], settings: PaperSettings, tmp_path: Path
) -> None:
    kills = [(event.text, event.step) for event in events if event.kind == "step"]
    out, begun = tmp_path / "out", []

    class KilledError(Exception):
        pass

    def observe(event: Event) -> None:
        begun.append(event)
        if kills and (event.text, event.step) == kills[0]:
            del kills[0]
            raise KilledError

    while kills:
        with pytest.raises(KilledError):
            train_paper(IMAGES, settings, out=out, device=CPU, on_event=observe)
    train_paper(IMAGES, settings, out=out, device=CPU)

    # Saved after steps 2 and 3 are reported, so that a kill at step 2 repeats two, and one at step 3 repeats one.
    assert Counter(event.step for event in begun if event.kind == "step" and event.text == "encoder") == {
        1: 3,
        2: 2,
        3: 2,
    }
    for name in ("paper/encoder.safetensors", "paper/segmenter.safetensors"):
        expected, found = tensors(trained / name), tensors(out / name)
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    for path in sorted(trained.rglob("*.png")):
        assert path.read_bytes() == (out / path.relative_to(trained)).read_bytes()


def test_a_finished_training_is_taken_as_it_is(trained: Path, settings: PaperSettings) -> None:
    again: list[Event] = []

    model = train_paper(IMAGES, settings, out=trained, device=CPU, on_event=again.append)

    assert again == []
    assert torch.equal(model.net.state_dict()["head.weight"], tensors(PaperFolder.below(trained).model)["head.weight"])


@pytest.mark.parametrize("images", [IMAGES[:1], IMAGES[::-1]])
def test_a_folder_of_another_training_is_refused(
    trained: Path, settings: PaperSettings, images: list[tuple[str, npt.NDArray[np.uint8]]]
) -> None:
    with pytest.raises(OutputError, match="other images or settings"):
        train_paper(images, settings, out=trained, device=CPU)


def test_the_model_gives_labels_of_an_image_of_any_size(trained: Path) -> None:
    image = stained(2, 110)[:, :77]
    model = PaperModel.load(PaperFolder.below(trained).model, device=CPU)

    probability, labels = model.probability(image), model.predict(image)

    assert probability.shape == labels.shape == (110, 77)
    assert labels.dtype == np.int32
    assert ((labels > 0) == (probability > 0.5)).all()


def test_the_encoder_is_read_back_with_its_settings(trained: Path, settings: PaperSettings) -> None:
    encoder, held = load_encoder(PaperFolder.below(trained).encoder, device=CPU)

    found = activation_map(encoder, IMAGES[0][1], held.maps)

    assert held == settings
    assert (found.min(), found.max()) == (pytest.approx(0, abs=1e-3), pytest.approx(1, abs=1e-3))


def test_the_two_checkpoints_are_not_mistaken_for_each_other(trained: Path) -> None:
    with pytest.raises(CheckpointError, match="paper-encoder"):
        PaperModel.load(PaperFolder.below(trained).encoder, device=CPU)
    with pytest.raises(CheckpointError, match="paper-segmenter"):
        load_encoder(PaperFolder.below(trained).model, device=CPU)


def test_the_crop_is_the_middle() -> None:
    image = np.zeros((7, 10, 3), np.uint8)
    image[1:5, 3:7] = 1

    (crop,) = centre_crops([("a", image)], 4)

    assert crop.shape == (4, 4, 3)
    assert crop.all()


def test_no_image_or_a_small_one_is_refused() -> None:
    with pytest.raises(FitError, match="one or more"):
        centre_crops([], 96)
    with pytest.raises(FitError, match="two: 100 x 100 px, expected at least 128"):
        centre_crops(IMAGES, 128)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("encoder.task=contrastive", "batch must be at least 2"),
        ("data.crop_px=100", "multiple of 32"),
        ("points.blur_px=4", "odd"),
        ("points.treshold=0.4", "did you mean 'threshold'"),
        ("maps.stages=[]", "at least 1"),
    ],
)
def test_a_bad_setting_says_what_is_wrong(override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_paper_settings("paper", (override,))


def test_a_run_refuses_the_training_configuration() -> None:
    with pytest.raises(ConfigError, match="wsipsm train --config paper"):
        load_config("paper")

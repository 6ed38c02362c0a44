"""The mean of several networks over four rotations, and one network that learns it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from wsipsm.config import Config, TrainingConfig
from wsipsm.nuclei.learning import StepRecord
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.slide.sample import he_field
from wsipsm.stain.normalise import SlideStats
from wsipsm.training.batches import TrainingField
from wsipsm.training.distillation import between, distil, lessons
from wsipsm.training.inputs import Source
from wsipsm.training.losses import distillation_loss
from wsipsm.training.slide_sample import SlideSample
from wsipsm.training.student_teacher import new_networks

STATS = SlideStats((0.7, 0.9, 0.6), 0.3)
SMALL = TrainingConfig(widths=(4, 8), batch=2, patch_px=48, distil_steps=6, threads=1)
CONFIG = Config.model_validate({"segmenter": {"input_scale": 1.6}})
Floats = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take thirty times as long."""
    with limited_threads(1):
        yield


def net(seed: int) -> SegmentationNet:
    teacher = new_networks(SMALL.model_copy(update={"seed": seed})).teacher
    return SegmentationNet.of_network(teacher, mpp=0.5, provenance={}, device="cpu")


@pytest.fixture(scope="module")
def sample() -> SlideSample:
    pixels = np.asarray(Image.open(he_field()).convert("RGB"))[:240, :240].reshape(120, 2, 120, 2, 3)
    fields = pixels.mean((1, 3)).round().astype(np.uint8)[None]
    return SlideSample(Source(Path("one.png"), 0.5, "", "one"), Path("none.npz"), fields, STATS)


@pytest.fixture(scope="module")
def fields(sample: SlideSample) -> list[TrainingField]:
    return lessons(sample, [net(0), net(1), net(2)], CONFIG)


def maps_of(one: SegmentationNet, field: TrainingField) -> Floats:
    return np.stack(one.maps(field.image, field.stats))


def test_targets_are_the_mean_of_all_networks_and_rotations(sample: SlideSample, fields: list[TrainingField]) -> None:
    margin = net(0).halo_px
    around = np.pad(sample.fields[0], [(margin, margin), (margin, margin), (0, 0)], mode="reflect")
    turned = [np.rot90(around, turns).copy() for turns in range(4)]

    found = [np.rot90(net(s).maps(turned[t], STATS.scaled(1.6)), -t, (1, 2)) for s in range(3) for t in range(4)]

    expected = np.mean(found, axis=0)[:, margin:-margin, margin:-margin]
    (field,) = fields
    np.testing.assert_allclose([field.target.nucleus, field.target.distance], expected, atol=1e-5)
    assert expected.std() > 1e-3
    assert field.stats == STATS.scaled(1.6)
    assert (field.target.weight == 1).all()


def test_the_student_comes_near_to_the_mean_of_its_teachers(fields: list[TrainingField]) -> None:
    config = SMALL.model_copy(update={"distil_steps": 120, "distil_rate": 0.01, "distil_share": 1.0, "ema_decay": 0.9})
    expected = np.asarray([fields[0].target.nucleus, fields[0].target.distance], np.float32)

    learnt = SegmentationNet.of_network(distil(net(0), fields, config), mpp=0.5, provenance={}, device="cpu")

    before, after = (np.abs(maps_of(one, fields[0]) - expected).mean() for one in (net(0), learnt))
    assert after < 0.5 * before


def test_a_share_lies_between_both_weights(fields: list[TrainingField]) -> None:
    first, second = net(0).network, distil(net(0), fields, SMALL.model_copy(update={"distil_share": 1.0}))
    names = first.state_dict().keys()

    mixed = distil(net(0), fields, SMALL.model_copy(update={"distil_share": 0.25}))

    a, b, c = (one.state_dict() for one in (first, second, mixed))
    assert not torch.equal(a["head.weight"], b["head.weight"])
    for name in names:
        if a[name].dtype.is_floating_point:
            torch.testing.assert_close(c[name], 0.75 * a[name] + 0.25 * b[name])
    for share, end in ((0.0, a), (1.0, b)):
        at_end = between(first, second, share).state_dict()
        assert all(torch.equal(at_end[k], end[k]) for k in names if end[k].dtype.is_floating_point)


def test_a_distillation_killed_at_any_step_ends_with_the_same_bits(fields: list[TrainingField], tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def told(record: StepRecord) -> None:
        if record.step == 4:
            raise KilledError

    with pytest.raises(KilledError):
        distil(net(0), fields, SMALL, state_file=tmp_path / "s", progress=told)
    assert (tmp_path / "s").is_file()

    resumed = distil(net(0), fields, SMALL, state_file=tmp_path / "s").state_dict()

    whole = distil(net(0), fields, SMALL).state_dict()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_the_loss_is_the_divergence_from_the_teachers_and_0_where_they_are_met() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.uniform(0.05, 0.95, (2, 1, 5, 4))
    d, e = rng.uniform(0, 1, (2, 1, 5, 4))
    divergence = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    error = np.where(abs(d - e) < 0.1, (d - e) ** 2 / 0.2, abs(d - e) - 0.05).mean()
    output = torch.from_numpy(np.stack([np.log(q / (1 - q)), e], axis=1))

    loss = distillation_loss(output, torch.from_numpy(p), torch.from_numpy(d))
    none = distillation_loss(output, torch.from_numpy(q), torch.from_numpy(e))

    assert loss.item() == pytest.approx(divergence + 2 * error, rel=1e-9)
    assert none.item() == pytest.approx(0, abs=1e-12)


def test_a_probability_that_rounding_put_beyond_1_counts_as_1() -> None:
    output, distance = torch.full((1, 2, 3, 3), 2.0), torch.zeros(1, 3, 3)
    whole, beyond = torch.ones(1, 3, 3), torch.full((1, 3, 3), 1 + 2**-23)

    found, expected = (distillation_loss(output, one, distance) for one in (beyond, whole))

    assert beyond.max() > 1
    assert found == expected

"""Batches, rounds and teachers' labels on a packaged H&E field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from skimage.draw import disk

from wsipsm.config import Config, TrainingConfig
from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.nuclei.learning import StepRecord
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.slide.sample import he_field
from wsipsm.stain.normalise import SlideStats, relative_planes
from wsipsm.training.batches import TrainingField, batch_of
from wsipsm.training.pseudo_labels import averaged_maps, teacher_labels
from wsipsm.training.self_training import train_round
from wsipsm.training.student_teacher import StudentTeacher, networks_of, new_networks
from wsipsm.training.targets import Target

STATS = SlideStats((0.7, 0.9, 0.6), 0.3)
SMALL = TrainingConfig(widths=(8, 12), batch=2, patch_px=32, steps=8, round_steps=6, threads=1)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take thirty times as long."""
    with limited_threads(1):
        yield


def image(side: int = 160) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(Image.open(he_field()).convert("RGB"))[: 2 * side, : 2 * side]
    return pixels.reshape(side, 2, side, 2, 3).mean((1, 3)).round().astype(np.uint8)


def training_field(seed: int = 0) -> TrainingField:
    rng = np.random.default_rng(seed)
    nucleus = rng.integers(0, 2, (160, 160)).astype(np.uint8)
    return TrainingField(image(), STATS, Target(nucleus, nucleus.astype(np.float32), np.ones((160, 160), np.float32)))


def tensors(networks: StudentTeacher[Segmenter]) -> dict[str, torch.Tensor]:
    named = {"student": networks.student, "teacher": networks.teacher}
    return {f"{m}.{k}": t.clone() for m, module in named.items() for k, t in module.state_dict().items()}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_window_of_a_lesson_has_the_bits_of_the_network_input() -> None:
    one, window = training_field(), (slice(3, 80), slice(10, 150))

    np.testing.assert_array_equal(one.planes(window), relative_planes(one.image, STATS)[window])
    assert one.planes(window).dtype == np.float32


def test_a_batch_follows_from_seed_round_and_step() -> None:
    fields = [training_field(0), training_field(1)]

    def planes(seed: int, number: int, step: int) -> npt.NDArray[np.float32]:
        config = SMALL.model_copy(update={"seed": seed})
        return np.asarray(batch_of(fields, config, number=number, step=step)[0])

    np.testing.assert_array_equal(planes(0, 1, 2), planes(0, 1, 2))
    assert planes(0, 1, 2).shape == (2, 3, 32, 32)
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3)):
        assert not np.array_equal(planes(0, 1, 2), planes(*other))


def test_first_weights_follow_the_seed_and_leave_torch_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)

    first = tensors(new_networks(SMALL))

    assert torch.equal(torch.rand(3), expected)
    assert_equal(tensors(new_networks(SMALL)), first)
    other = tensors(new_networks(SMALL.model_copy(update={"seed": 1})))
    assert not torch.equal(other["student.head.weight"], first["student.head.weight"])
    assert torch.equal(first["teacher.head.weight"], first["student.head.weight"])


@pytest.mark.parametrize("number", [0, 1])
def test_a_round_killed_at_any_step_ends_with_the_same_bits(number: int, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def learnt(kills: list[int]) -> dict[str, torch.Tensor]:
        state = tmp_path / f"{len(kills)}.state"
        for kill in [*kills, 0]:

            def told(record: StepRecord, kill: int = kill) -> None:
                if record.step == kill:
                    raise KilledError

            networks = new_networks(SMALL)
            try:
                train_round(networks, [training_field()], SMALL, number=number, state_file=state, progress=told)
            except KilledError:
                continue
        return tensors(networks)

    assert_equal(learnt([1, 3, 4, 6]), learnt([]))


def test_members_learn_from_other_seeds_and_the_last_round_is_the_first_ones() -> None:
    config = SMALL.model_copy(update={"members": 3, "rounds": 2, "final_rounds": 1})
    weights = [tensors(new_networks(config.settings_of_member(m)))["student.head.weight"] for m in range(3)]

    assert torch.equal(weights[0], tensors(new_networks(SMALL))["student.head.weight"])
    assert not torch.equal(weights[1], weights[0])
    assert not torch.equal(weights[2], weights[1])
    assert [config.members_in_round(n) for n in range(3)] == [3, 3, 1]
    assert [config.is_final_round(n) for n in range(3)] == [False, False, True]


def test_the_next_round_goes_on_from_the_state_to_the_bit(tmp_path: Path) -> None:
    networks, other = new_networks(SMALL), new_networks(SMALL.model_copy(update={"seed": 1}))
    train_round(networks, [training_field()], SMALL, number=0, state_file=tmp_path / "s")

    other.load(tmp_path / "s")

    assert_equal(tensors(other), tensors(networks))


def test_a_finished_round_takes_no_step_again(tmp_path: Path) -> None:
    networks, again, steps = new_networks(SMALL), new_networks(SMALL), list[StepRecord]()
    train_round(networks, [training_field()], SMALL, number=0, state_file=tmp_path / "s")

    train_round(again, [training_field()], SMALL, number=0, state_file=tmp_path / "s", progress=steps.append)

    assert steps == []
    assert_equal(tensors(again), tensors(networks))


def test_damaged_networks_of_the_round_before_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(b"PK nothing")

    with pytest.raises(CheckpointError, match="damaged"):
        new_networks(SMALL).load(tmp_path / "p")


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_weights(path: Path) -> None:
    torch.save({"step": 3}, path)


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"PK nothing"), cut_in_half, without_weights],
)
def test_a_damaged_state_is_refused_in_one_line(damage: Callable[[Path], object], tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def told(record: StepRecord) -> None:
        if record.step == 3:
            raise KilledError

    state = tmp_path / "s"
    with pytest.raises(KilledError):
        train_round(new_networks(SMALL), [training_field()], SMALL, number=0, state_file=state, progress=told)
    damage(state)

    with pytest.raises(CheckpointError, match=r"s: a damaged state of a training .*remove it to start") as refused:
        train_round(new_networks(SMALL), [training_field()], SMALL, number=0, state_file=state, progress=told)
    assert len(str(refused.value).splitlines()) == 1


def test_an_error_inside_a_step_is_not_taken_for_a_damaged_state(tmp_path: Path) -> None:
    class Faulty(TrainingField):
        def planes(self, window: tuple[slice, slice]) -> npt.NDArray[np.float32]:
            raise KeyError("a mistake in the code")

    one = training_field()
    with pytest.raises(KeyError, match="a mistake in the code"):
        train_round(
            new_networks(SMALL),
            [Faulty(one.image, one.stats, one.target)],
            SMALL,
            number=0,
            state_file=tmp_path / "s",
        )


def test_a_loss_that_is_no_number_ends_the_round(tmp_path: Path) -> None:
    one = training_field()
    one.target.distance[:] = np.nan

    with pytest.raises(FitError, match="learning_rate"):
        train_round(new_networks(SMALL), [one], SMALL, number=0, state_file=tmp_path / "s")


def test_training_goes_on_from_a_trained_segmenter() -> None:
    net = SegmentationNet.of_network(new_networks(SMALL).teacher, mpp=0.5, provenance={}, device="cpu")

    networks = networks_of(net)

    assert_equal(tensors(networks), tensors(new_networks(SMALL)))
    assert all(parameter.requires_grad for parameter in networks.student.parameters())


def test_labels_of_a_round_turn_with_the_image(tmp_path: Path) -> None:
    networks = new_networks(SMALL)
    train_round(networks, [training_field()], SMALL, number=0, state_file=tmp_path / "s")
    net = SegmentationNet.of_network(networks.teacher, mpp=0.5, provenance={}, device="cpu")
    pixels = image()

    straight = averaged_maps(pixels, [net], STATS)
    turned = averaged_maps(np.ascontiguousarray(np.rot90(pixels)), [net], STATS)

    for a, b in zip(straight, turned, strict=True):
        assert a.std() > 0
        np.testing.assert_allclose(np.rot90(a), b, atol=1e-5)


def test_labels_of_a_segmenter_cover_the_field() -> None:
    """A network that says nucleus, and deep, where it is dark: dark blobs become instances."""
    networks = new_networks(SMALL.model_copy(update={"widths": (4,)}))
    for tensor in networks.teacher.state_dict().values():
        tensor.zero_()
    state = networks.teacher.state_dict()
    for name in ("first", "second"):  # pass the first plane through both convolutions
        state[f"down.0.{name}.weight"][0, 0, 1, 1] = 1
        state[f"down.0.{name}_norm.weight"][:] = 1
        state[f"down.0.{name}_norm.running_var"][:] = 1
    state["head.weight"][:, 0, 0, 0] = torch.tensor([40, 0.5])
    state["head.bias"][0] = -20
    net = SegmentationNet.of_network(networks.teacher, mpp=0.5, provenance={}, device="cpu")
    pixels = np.full((96, 128, 3), 250, np.uint8)
    pixels[disk((8, 30), 10, shape=(96, 128))] = 40  # over the border of the field
    pixels[disk((60, 80), 11)] = 40

    pseudo = teacher_labels(pixels, [net], STATS, Config(), final=False)

    assert pseudo.labels.shape == pseudo.probability.shape == (96, 128)
    assert pseudo.labels.max() == 2
    np.testing.assert_array_equal(pseudo.labels > 0, pixels[..., 0] == 40)
    assert pseudo.probability[60, 80] > 0.99
    assert pseudo.probability[30, 10] < 0.01

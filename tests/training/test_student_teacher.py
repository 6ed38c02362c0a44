"""Student and EMA teacher: schedules and steps against their definitions, killed and resumed; losses against numpy."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from wsipsm.core.errors import OutputError
from wsipsm.nuclei.learning import StepRecord
from wsipsm.training.losses import segmenter_loss, soft_dice_loss
from wsipsm.training.student_teacher import WARM_UP_STEPS, Schedule, StudentTeacher, learn

SCHEDULE = Schedule(steps=12, learning_rate=0.02, decay=0.9, save_every=3)


class KilledError(Exception):
    """Stands for a kill at a step."""


def new_networks() -> StudentTeacher[nn.Module]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1))
    return StudentTeacher[nn.Module](network, copy.deepcopy(network))


def loss_on(networks: StudentTeacher[nn.Module], kill_at: int | None = None) -> object:
    def loss_of(step: int) -> Tensor:
        if step == kill_at:
            raise KilledError
        planes = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        loss: Tensor = (networks.student(planes) - planes[..., 1:-1, 1:-1]).square().mean()
        return loss

    return loss_of


def weights(networks: StudentTeacher[nn.Module]) -> list[npt.NDArray[np.float32]]:
    return [t.numpy().copy() for m in (networks.student, networks.teacher) for t in m.state_dict().values()]


def test_a_training_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole, told = new_networks(), []
    learn(whole, loss_on(whole), SCHEDULE, progress=lambda record: told.append((record.step, record.loss)))
    state, again = tmp_path / "s", []

    for kill_at in (2, 4, 7, 11):
        networks = new_networks()
        with pytest.raises(KilledError):
            learn(
                networks,
                loss_on(networks, kill_at),
                SCHEDULE,
                state_file=state,
                progress=lambda record: again.append((record.step, record.loss)),
            )
    networks = new_networks()
    learn(
        networks,
        loss_on(networks),
        SCHEDULE,
        state_file=state,
        progress=lambda record: again.append((record.step, record.loss)),
    )

    for expected, found in zip(weights(whole), weights(networks), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [step for step, _ in told] == list(range(1, 13))
    assert sorted(dict(again).items()) == told, "repeated steps have the same losses"


def test_every_step_is_told_before_it_is_saved(tmp_path: Path) -> None:
    networks, state, seen = new_networks(), tmp_path / "s", []

    def told(record: StepRecord) -> None:
        seen.append(torch.load(state)["step"] if state.exists() else 0)

    learn(networks, loss_on(networks), SCHEDULE, state_file=state, progress=told)

    assert seen == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9]


def test_the_teacher_is_the_moving_average_of_the_student() -> None:
    networks = new_networks()
    for parameter in networks.student.parameters():
        parameter.data += 1
    before = [t.clone() for t in networks.teacher.state_dict().values()]

    networks.update_teacher(0.75)

    rows = zip(before, networks.student.state_dict().values(), networks.teacher.state_dict().values(), strict=True)
    for old, new, mean in rows:
        expected = 0.75 * old.double() + 0.25 * new.double() if old.dtype.is_floating_point else new
        torch.testing.assert_close(mean.double(), expected.double(), rtol=1e-6, atol=1e-7)


def test_the_rate_rises_and_falls_as_a_cosine() -> None:
    schedule = Schedule(steps=1000, learning_rate=0.01, decay=0.9)

    assert schedule.rate(0) == pytest.approx(0.01 / WARM_UP_STEPS)
    assert schedule.rate(500) == pytest.approx(0.005)
    assert schedule.rate(999) == pytest.approx(0.0002)
    assert np.argmax([schedule.rate(step) for step in range(1000)]) == WARM_UP_STEPS - 1


def test_the_teacher_is_left_in_evaluation_mode() -> None:
    networks = new_networks()

    learn(networks, loss_on(networks), SCHEDULE)

    assert not networks.teacher.training


def test_a_state_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    networks = new_networks()

    with pytest.raises(OutputError, match="cannot be written"):
        learn(networks, loss_on(networks), SCHEDULE, state_file=tmp_path / "no folder" / "s")


def reference_loss(
    output: npt.NDArray[np.float64],
    nucleus: npt.NDArray[np.float64],
    distance: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
) -> float:
    """Written out pixel by pixel."""
    entropy = error = 0.0
    dice = []
    for b in range(len(output)):
        overlap = total = 0.0
        for y, x in np.ndindex(nucleus.shape[1:]):
            p, n, w = 1 / (1 + np.exp(-output[b, 0, y, x])), nucleus[b, y, x], weight[b, y, x]
            entropy -= w * (n * np.log(p) + (1 - n) * np.log(1 - p))
            difference = abs(output[b, 1, y, x] - distance[b, y, x])
            error += w * (difference**2 / 0.2 if difference < 0.1 else difference - 0.05)
            overlap += p * n * w
            total += (p + n) * w
        dice.append(1 - (2 * overlap + 1) / (total + 1))
    return float(entropy / weight.sum() + 0.5 * np.mean(dice) + 2 * error / weight.sum())


def test_the_loss_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    output, nucleus = rng.normal(0, 1.5, (3, 2, 6, 7)), rng.integers(0, 2, (3, 6, 7)).astype(float)
    distance, weight = nucleus * rng.uniform(0, 1, nucleus.shape), rng.uniform(0, 1, nucleus.shape)

    found = segmenter_loss(*(torch.from_numpy(array) for array in (output, nucleus, distance, weight)))

    assert float(found) == pytest.approx(reference_loss(output, nucleus, distance, weight), rel=1e-10)


def test_pixels_of_no_weight_do_not_count() -> None:
    rng = torch.Generator().manual_seed(0)
    output = torch.randn(2, 2, 8, 8, generator=rng, requires_grad=True)
    nucleus, weight = torch.ones(2, 8, 8), torch.ones(2, 8, 8)
    weight[:, :, :4] = 0

    torch.autograd.backward(segmenter_loss(output, nucleus, nucleus, weight))

    assert output.grad is not None
    assert not output.grad[..., :4].any()
    assert output.grad[..., 4:].all()


def test_a_perfect_answer_costs_nothing() -> None:
    nucleus = torch.zeros(1, 8, 8)
    nucleus[:, 2:5, 2:6] = 1
    output = torch.stack([nucleus * 80 - 40, nucleus], dim=1)

    assert float(segmenter_loss(output, nucleus, nucleus, torch.ones_like(nucleus))) < 1e-6
    assert float(soft_dice_loss(nucleus, nucleus, torch.ones_like(nucleus))) == pytest.approx(0, abs=1e-6)

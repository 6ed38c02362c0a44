"""The paper's five tasks and the loop that learns them, against references written out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.nuclei.learning import Plan, StepRecord
from wsipsm.training.paper import tasks
from wsipsm.training.paper.encoder import ActivationEncoder
from wsipsm.training.paper.learn import batch_indices, learn

NET = "test_resnet"
RNG = np.random.default_rng(7)


def float64(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=shape) * 3)


def test_similarity_is_the_mean_distance_of_two_outputs() -> None:
    one, other = float64(4, 1), float64(4, 1)

    assert float(tasks.similarity_loss(one, other)) == pytest.approx(np.mean(np.abs(one.numpy() - other.numpy())))


def test_contrast_is_a_hinge_on_squared_distances() -> None:
    anchor, positive, negative = float64(3, 1), float64(3, 1), float64(1, 1)
    a, p, n = anchor.numpy(), positive.numpy(), negative.numpy()

    found = float(tasks.contrastive_loss(anchor, positive, negative))

    assert found == pytest.approx(max(((p - a) ** 2).mean() - ((n - a) ** 2).mean() + 10, 0))
    assert float(tasks.contrastive_loss(anchor, anchor, negative + 100)) == 0


def test_rotation_is_the_cross_entropy_of_the_turn() -> None:
    logits, turns = float64(3, 4), torch.tensor([2, 0, 3])
    odds = np.exp(logits.numpy())

    found = float(tasks.rotation_loss(logits, turns))

    assert found == pytest.approx(-np.mean(np.log(odds[[0, 1, 2], turns.numpy()] / odds.sum(axis=1))))


def test_simsiam_is_the_negative_cosine_and_stops_the_gradient() -> None:
    prediction, embedding = float64(3, 5).requires_grad_(), float64(3, 5).requires_grad_()
    p, z = prediction.detach().numpy(), embedding.detach().numpy()
    lengths = np.linalg.norm(p, axis=1), np.linalg.norm(z, axis=1)
    cosine = (p * z).sum(axis=1) / (lengths[0] * lengths[1])

    loss = tasks.negative_cosine(prediction, embedding)
    torch.autograd.backward(loss)

    assert float(loss.detach()) == pytest.approx(-cosine.mean())
    slope = -(z / (lengths[0] * lengths[1])[:, None] - p * (cosine / lengths[0] ** 2)[:, None]) / 3
    np.testing.assert_allclose(prediction.grad, slope, atol=1e-12)
    assert embedding.grad is None


def test_mean_value_is_the_distance_to_the_mean_of_all_pixels() -> None:
    output, images = float64(2, 1), float64(2, 3, 4, 5)

    found = float(tasks.mean_value_loss(output, images))

    assert found == pytest.approx(np.mean([abs(output[i].item() - images[i].numpy().mean()) for i in (0, 1)]))


def test_the_rotation_task_tells_the_turn_that_it_made() -> None:
    images = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).float()
    seen: list[torch.Tensor] = []

    def encode(turned: torch.Tensor) -> torch.Tensor:
        seen.append(turned)
        match = [
            [float(torch.equal(torch.rot90(i, n, (1, 2)), t)) for n in range(4)]
            for i, t in zip(images, turned, strict=True)
        ]
        return 50 * torch.tensor(match)

    loss = tasks.TASKS["rotation"].loss(encode, encode, images, np.random.default_rng(3))

    assert float(loss) < 1e-6
    assert not torch.equal(seen[0], images)


@pytest.mark.parametrize("task", sorted(tasks.TASKS))
def test_one_loop_learns_every_task_and_resumes_to_the_bit(task: str, tmp_path: Path) -> None:
    images = torch.from_numpy(RNG.integers(0, 256, (4, 3, 64, 64)).astype(np.float32))

    def train(name: str, stop: int = 0) -> tuple[list[float], dict[str, torch.Tensor]]:
        net, losses = ActivationEncoder(NET, task, seed=0), []

        def loss_of(step: int) -> torch.Tensor:
            batch = images[batch_indices(step, images=4, batch=3, seed=0)]
            return tasks.TASKS[task].loss(net.encoder, net.predictor, batch, np.random.default_rng((0, step)))

        def progress(record: StepRecord) -> None:
            losses.append(record.loss or 0.0)
            if record.step == stop:
                raise KeyboardInterrupt

        plan = Plan("encoder", 4, tmp_path / name, save_every=2, fingerprint="a")
        learn(net, loss_of, plan, learning_rate=1e-3, seed=0, progress=progress)
        return losses, net.state_dict()

    whole, expected = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("killed", stop=3)
    rest, found = train("killed")

    assert rest == whole[2:]
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    start = ActivationEncoder(NET, task, seed=0).state_dict()
    assert not torch.equal(start["encoder.conv1.0.weight"], found["encoder.conv1.0.weight"])


def test_mean_value_is_learnt(tmp_path: Path) -> None:
    images = torch.from_numpy(np.stack([np.full((3, 64, 64), v, np.float32) for v in (10, 30)]))
    net, losses = ActivationEncoder(NET, "mean_value", seed=0), []

    def loss_of(step: int) -> torch.Tensor:
        return tasks.TASKS["mean_value"].loss(net.encoder, net.predictor, images, np.random.default_rng(0))

    plan = Plan("encoder", 30, tmp_path / "state", save_every=30, fingerprint="a")
    learn(net, loss_of, plan, learning_rate=0.02, seed=0, progress=lambda record: losses.append(record.loss))

    assert losses[-1] < losses[0] / 2


def test_a_state_of_another_training_and_a_damaged_one_are_refused(tmp_path: Path) -> None:
    net = torch.nn.Linear(1, 1)

    def go(fingerprint: str) -> None:
        plan = Plan("encoder", 1, tmp_path / "state", save_every=1, fingerprint=fingerprint)
        learn(net, lambda _: net(torch.ones(1, 1)).sum(), plan, learning_rate=0.1, seed=0)

    go("a")
    with pytest.raises(CheckpointError, match="another training"):
        go("b")
    (tmp_path / "state").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CheckpointError, match="damaged"):
        go("a")


def test_a_loss_that_is_not_finite_ends_the_learning(tmp_path: Path) -> None:
    plan = Plan("encoder", 2, tmp_path / "state", save_every=1, fingerprint="a")
    net = torch.nn.Linear(1, 1)

    with pytest.raises(FitError, match="learning_rate"):
        learn(net, lambda _: net(torch.full((1, 1), torch.inf)).sum(), plan, learning_rate=0.1, seed=0)


def test_every_pass_sees_every_image_once() -> None:
    drawn = [i for step in range(10) for i in batch_indices(step, images=5, batch=4, seed=1)]

    passes = np.array(drawn).reshape(8, 5)
    assert (np.sort(passes) == np.arange(5)).all()
    assert len(np.unique(passes, axis=0)) > 4

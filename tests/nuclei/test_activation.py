"""Activation maps: the paper's form, the frozen form, and blocks against the whole."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gradcam import gradcam_map
from wsipsm.core.errors import CheckpointError
from wsipsm.nuclei.activation import ActivationNet, MapConstants, channel_weights, input_planes
from wsipsm.nuclei.nets.checkpoint import Checkpoint
from wsipsm.nuclei.nets.encoder import IN_CHANNELS, Encoder, EncoderShape
from wsipsm.stain.normalise import SlideStats

CPU = "cpu"
STATS = SlideStats((0.6, 1.1, 0.7), 0.3)


def random_encoder(seed: int = 0, *, blocks: int = 2) -> Encoder:
    """Encoder with random weights and random running statistics, in evaluation mode."""
    torch.manual_seed(seed)
    encoder = Encoder(EncoderShape(width=6, blocks=blocks, hidden=5, cell_px=8))
    with torch.no_grad():
        encoder.train()(
            torch.rand(4, IN_CHANNELS, 48, 48)[..., : 40 + 2 * encoder.shape.halo_px, : 40 + 2 * encoder.shape.halo_px]
        )
    return encoder.eval()


def random_net(seed: int = 0) -> ActivationNet:
    encoder = random_encoder(seed)
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(6, generator=generator) for _ in range(2)]
    constants = MapConstants((0.1, -0.2), (1.5, 2.0), -1.5, 1.5)
    return ActivationNet(encoder, weights, constants, provenance={"seed": seed}, device=CPU)


def random_image(seed: int, y: int, x: int) -> npt.NDArray[np.uint8]:
    """Blurred noise in three colours."""
    noise = np.random.default_rng(seed).random((y, x, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return np.clip(128 + 1500 * (smooth - 0.5), 0, 255).astype(np.uint8)


def naive_conv(x: npt.NDArray[np.float64], kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Unpadded 3 x 3 correlation: (c, y, x) and (k, c, 3, 3) to (k, y - 2, x - 2)."""
    y, x_ = x.shape[1] - 2, x.shape[2] - 2
    return sum(
        np.einsum("kc,cyx->kyx", kernel[:, :, j, i], x[:, j : j + y, i : i + x_]) for j in range(3) for i in range(3)
    )


class Naive:
    """The shallow network written out in float64 with numpy, from an encoder's tensors."""

    def __init__(self, encoder: Encoder) -> None:
        self.t = {key: value.double().numpy() for key, value in encoder.state_dict().items()}
        self.blocks = encoder.shape.blocks

    def norm(self, name: str, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        mean, var = self.t[f"{name}.running_mean"], self.t[f"{name}.running_var"]
        scale = self.t[f"{name}.weight"] / np.sqrt(var + 1e-5)
        return (x - mean[:, None, None]) * scale[:, None, None] + self.t[f"{name}.bias"][:, None, None]

    def activations(self, planes: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
        x = np.maximum(self.norm("stem.1", naive_conv(planes, self.t["stem.0.weight"])), 0)
        maps = []
        for block in range(self.blocks):
            name = f"blocks.{block}"
            inner = np.maximum(self.norm(f"{name}.first_norm", naive_conv(x, self.t[f"{name}.first.weight"])), 0)
            outer = self.norm(f"{name}.second_norm", naive_conv(inner, self.t[f"{name}.second.weight"]))
            x = np.maximum(outer + x[:, 2:-2, 2:-2], 0)
            maps.append(x)
        reach = [2 * (self.blocks - 1 - block) for block in range(self.blocks)]
        return [m[:, r : m.shape[1] - r, r : m.shape[2] - r] for m, r in zip(maps, reach, strict=True)]

    def output(self, maps: list[npt.NDArray[np.float64]], cell: int) -> float:
        """Mean logit of the coarse grid."""
        c, y, x = maps[0].shape
        means = [m.reshape(c, y // cell, cell, x // cell, cell).mean(axis=(2, 4)) for m in maps]
        hidden = np.einsum("hc,cyx->hyx", self.t["head.0.weight"][..., 0, 0], np.concatenate(means))
        hidden = np.maximum(hidden + self.t["head.0.bias"][:, None, None], 0)
        logits = np.einsum("h,hyx->yx", self.t["head.2.weight"][0, :, 0, 0], hidden) + self.t["head.2.bias"]
        return float(logits.mean())

    def pooled_gradients(self, maps: list[npt.NDArray[np.float64]], cell: int) -> list[npt.NDArray[np.float64]]:
        """Mean over pixels of dy/dA_k: what y gains when the whole channel rises, over its pixels; by differences."""
        step, pixels = 1e-6, maps[0][0].size
        gradients = []
        for block, found in enumerate(maps):
            gradient = np.empty(len(found))
            for k in range(len(found)):
                outputs = []
                for sign in (1, -1):
                    moved = [m.copy() for m in maps]
                    moved[block][k] += sign * step
                    outputs.append(self.output(moved, cell))
                gradient[k] = (outputs[0] - outputs[1]) / (2 * step) / pixels
            gradients.append(gradient)
        return gradients


def test_shallow_maps_are_those_written_out_in_numpy() -> None:
    encoder = random_encoder(3)
    planes = np.random.default_rng(0).random((IN_CHANNELS, 30, 26))

    with torch.no_grad():
        found = encoder.activations(torch.from_numpy(planes[None]).float())

    for ours, theirs in zip(found, Naive(encoder).activations(planes), strict=True):
        np.testing.assert_allclose(ours[0].numpy(), theirs, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_channel_weights_are_the_pooled_gradients_of_differences(seed: int) -> None:
    encoder = random_encoder(seed)
    planes = np.random.default_rng(seed).random((IN_CHANNELS, 34, 26))
    naive = Naive(encoder)

    found = channel_weights(encoder.double(), torch.from_numpy(planes[None]))

    expected = naive.pooled_gradients(naive.activations(planes), cell=8)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_papers_map_is_grad_cam_written_out_in_numpy(seed: int) -> None:
    encoder = random_encoder(seed)
    planes = np.random.default_rng(seed).random((IN_CHANNELS, 34, 34))
    naive = Naive(encoder)

    found = gradcam_map(encoder.double(), torch.from_numpy(planes)).numpy()

    maps = naive.activations(planes)
    total = np.zeros(maps[0].shape[1:])
    for weight, channels in zip(naive.pooled_gradients(maps, cell=8), maps, strict=True):
        cam = np.maximum(np.tensordot(weight, channels, axes=1), 0)
        total += (cam - cam.min()) / (np.ptp(cam) or 1)
    np.testing.assert_allclose(found, (total - total.min()) / (np.ptp(total) or 1), atol=1e-5)


def test_channel_weights_of_a_batch_are_the_mean_over_its_images() -> None:
    encoder = random_encoder(1).double()
    planes = torch.rand(3, IN_CHANNELS, 26, 26, dtype=torch.float64)

    together = channel_weights(encoder, planes)

    alone = [channel_weights(encoder, image[None]) for image in planes]
    for block, weight in enumerate(together):
        torch.testing.assert_close(weight, torch.stack([a[block] for a in alone]).mean(dim=0))


def test_the_frozen_map_is_the_mean_of_scaled_weighted_sums() -> None:
    net = random_net(4)
    image = random_image(0, 40, 50)

    found = net.maps(image, STATS)

    c, maps = net.constants, Naive(net.network).activations(input_planes(image, STATS).astype(np.float64))
    scores = [
        (np.tensordot(w.double().numpy(), m, axes=1) - mean) / std
        for w, m, mean, std in zip(net.weights, maps, c.means, c.stds, strict=True)
    ]
    expected = np.clip((np.mean(scores, axis=0) - c.low) / (c.high - c.low), 0, 1)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (found.dtype, found.shape) == (np.float32, (30, 40))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), by=st.integers(0, 2), bx=st.integers(0, 2))
def test_a_block_is_mapped_as_in_the_whole_image(seed: int, by: int, bx: int) -> None:
    net, side = random_net(), 32
    halo = net.halo_px
    image = random_image(seed, 3 * side + 2 * halo, 3 * side + 2 * halo)
    y, x = by * side, bx * side

    whole = net.maps(image, STATS)
    block = net.maps(image[y : y + side + 2 * halo, x : x + side + 2 * halo], STATS)

    np.testing.assert_allclose(block, whole[y : y + side, x : x + side], atol=1e-4)


def test_the_same_block_gives_the_same_bits() -> None:
    net, image = random_net(), random_image(1, 138, 138)

    first, *others = [net.maps(np.ascontiguousarray(image), STATS) for _ in range(4)]
    net.maps(random_image(2, 100, 90), STATS)

    for other in [*others, net.maps(image, STATS)]:
        np.testing.assert_array_equal(other, first)


def test_input_planes_do_not_depend_on_the_strength_of_the_stain() -> None:
    image = random_image(5, 20, 20) // 2 + 127
    faint = SlideStats((0.3, 0.55, 0.35), 0.1)
    density = -np.log10((image + 1.0) / 256)
    stronger = np.rint(256 * 10 ** (-2 * density) - 1).clip(0, 255).astype(np.uint8)
    strong = SlideStats((0.6, 1.1, 0.7), 0.2)

    np.testing.assert_allclose(input_planes(stronger, strong), input_planes(image, faint), atol=0.03)


def test_white_has_no_density_and_no_colour() -> None:
    planes = input_planes(np.full((2, 3, 3), 255, np.uint8), STATS)

    assert planes.shape == (IN_CHANNELS, 2, 3)
    np.testing.assert_array_equal(planes[:3], 0)
    np.testing.assert_array_equal(planes[3:], -1)


def test_a_network_survives_its_checkpoint() -> None:
    net, image = random_net(7), random_image(3, 60, 60)

    again = ActivationNet.of_checkpoint(net.checkpoint(), device=CPU)

    np.testing.assert_array_equal(again.maps(image, STATS), net.maps(image, STATS))
    assert again.constants == net.constants
    assert again.provenance == {"seed": 7}


def test_a_checkpoint_of_something_else_is_refused() -> None:
    with pytest.raises(CheckpointError, match="no encoder"):
        ActivationNet.of_checkpoint(Checkpoint("encoder", {"shape": {"depth": 5}}, {}), device=CPU)


def test_a_checkpoint_of_another_width_is_refused() -> None:
    checkpoint = random_net().checkpoint()
    checkpoint.table["shape"]["width"] = 8

    with pytest.raises(CheckpointError, match="do not fit"):
        ActivationNet.of_checkpoint(checkpoint, device=CPU)

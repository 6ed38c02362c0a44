"""The paper's encoder, maps and clustering against references written out by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage as ndi
from skimage.draw import disk as drawn_disk

from wsipsm.core.errors import ConfigError
from wsipsm.training.paper.clustering import cleaned, coloured, nuclear_pixels, pseudo_mask
from wsipsm.training.paper.encoder import ActivationEncoder
from wsipsm.training.paper.maps import activation_map
from wsipsm.training.paper.settings import MapSettings, MaskSettings

NET = "test_resnet"
RNG = np.random.default_rng(7)
IMAGE = RNG.integers(0, 256, (64, 96, 3)).astype(np.uint8)


def test_the_encoder_is_seeded_and_leaves_torchs_random_state_alone() -> None:
    before = torch.get_rng_state()

    one, same, other = (ActivationEncoder(NET, "simsiam", seed=seed).state_dict() for seed in (0, 0, 1))

    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.conv1.0.weight"], other["encoder.conv1.0.weight"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("name", "stage", "expected"), [("resnet3400", "layer1", "resnet"), (NET, "layer9", "layer1")])
def test_an_unknown_network_or_stage_is_refused_with_the_known_ones(name: str, stage: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        ActivationEncoder(name, "similarity", seed=0).shallow(torch.zeros(1, 3, 64, 64), (stage,))


def finite_difference_map(
    encoder: ActivationEncoder, image: npt.NDArray[np.uint8], stages: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    """The map with every channel's pooled gradient measured by moving that channel of the block up and down."""
    net = encoder.encoder.double()
    pixels = torch.from_numpy(image.transpose(2, 0, 1)[None] / 255.0)
    maps = []
    for block in (block for stage in stages for block in net.get_submodule(stage)):
        held: list[torch.Tensor] = []
        hook = block.register_forward_hook(lambda _, __, out, held=held: held.append(out.clone()))
        net(pixels)
        hook.remove()
        (activation,) = held
        weights, step = [], 1e-5
        for channel in range(activation.shape[1]):
            sides = []
            for move in (step, -step):
                moved = activation.clone()
                moved[:, channel] += move
                hook = block.register_forward_hook(lambda _, __, ___, moved=moved: moved)
                sides.append(net(pixels)[0, 0].item())
                hook.remove()
            weights.append((sides[0] - sides[1]) / (2 * step) / activation[0, 0].numel())
        total = np.tensordot(np.array(weights), activation[0].numpy(), axes=1)
        total = (total - total.min()) / (total.max() - total.min())
        size = image.shape[:2]
        resized = F.interpolate(torch.from_numpy(total)[None, None], size, mode="bilinear", align_corners=False)
        maps.append(resized[0, 0].numpy())
    mean = np.mean(maps, axis=0)
    return (mean - mean.min()) / (mean.max() - mean.min())


@pytest.mark.parametrize("stages", [("layer1",), ("layer1", "layer2")])
def test_the_map_weighs_channels_by_their_finite_differences(stages: tuple[str, ...]) -> None:
    encoder = ActivationEncoder(NET, "similarity", seed=3).eval()

    found = activation_map(encoder, IMAGE, MapSettings(stages=stages, dark_is_high=False))

    with torch.no_grad():
        expected = finite_difference_map(encoder, IMAGE, stages)
    assert found.shape == IMAGE.shape[:2]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_a_map_is_higher_in_what_is_dark(seed: int) -> None:
    image = np.where(IMAGE > 128, 220, 60).astype(np.uint8)
    encoder = ActivationEncoder(NET, "similarity", seed=seed).eval()

    as_it_is = activation_map(encoder, image, MapSettings(dark_is_high=False))
    found = activation_map(encoder, image, MapSettings())

    assert np.corrcoef(found.ravel(), image.mean(axis=2).ravel())[0, 1] < 0
    assert (found == as_it_is).all() or (found == 1 - as_it_is).all()


def test_a_map_of_nothing_is_finite() -> None:
    encoder = ActivationEncoder(NET, "similarity", seed=3).eval()
    torch.nn.init.zeros_(encoder.encoder.fc.weight)

    assert (activation_map(encoder, IMAGE, MapSettings()) == 0).all()


def test_colours_of_the_map_stand_blue_first_beside_the_image() -> None:
    activation = np.array([[0.0, 0.5, 1.0]], np.float32)
    image = np.array([[[10, 20, 30]] * 3], np.uint8)

    found = coloured(activation, image, image_weight=2.0)

    assert found.tolist()[0][0] == [128 + 20, 40, 60]
    assert found.tolist()[0][2] == [20, 40, 128 + 60]
    assert found[0, 1, 1] == 255 + 40


def test_the_nucleus_cluster_is_the_lowest_in_the_first_two_channels() -> None:
    order = RNG.permutation(600)
    pixels = np.repeat(np.array([[250, 250, 90], [100, 250, 250], [90, 60, 250]], np.float32), 200, axis=0)
    pixels += RNG.normal(size=pixels.shape).astype(np.float32)

    found = nuclear_pixels(pixels[order], MaskSettings(sample_px=1000), seed=0)

    assert (found == (order >= 400)).all()


def test_pixels_left_out_of_the_sample_join_the_nearest_centre() -> None:
    pixels = np.repeat(np.array([[250, 250, 90], [100, 250, 250], [90, 60, 250]], np.float32), 1000, axis=0)

    found = nuclear_pixels(pixels, MaskSettings(sample_px=1000), seed=0)

    assert (found == (np.arange(3000) >= 2000)).all()


def test_an_image_of_nothing_has_an_empty_mask() -> None:
    blank = np.full((40, 40, 3), 240, np.uint8)

    assert not pseudo_mask(np.zeros((40, 40), np.float32), blank, MaskSettings(), seed=0).any()


def test_a_pseudo_mask_finds_drawn_nuclei() -> None:
    truth = np.zeros((128, 128), np.bool_)
    for y, x in [(30, 30), (30, 90), (90, 60)]:
        truth[drawn_disk((y, x), 14)] = True
    image = np.where(truth[..., None], (90, 60, 140), (230, 170, 210))
    image = (image + RNG.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
    image[:, :20] = 245
    activation = ndi.gaussian_filter(truth.astype(np.float32), 2)

    found = pseudo_mask(activation, image, MaskSettings(), seed=0)

    assert (found & truth).sum() / (found | truth).sum() > 0.8


def test_small_objects_and_small_holes_go() -> None:
    noise = ndi.gaussian_filter(RNG.normal(size=(200, 200)), 3) > 0
    settings = MaskSettings(min_area_px=200, max_hole_px=64)

    found = cleaned(noise, settings)

    pieces, _ = ndi.label(noise)
    kept = noise & (np.bincount(pieces.ravel()) >= 200)[pieces]
    holes, _ = ndi.label(~kept)
    expected = kept | (np.bincount(holes.ravel()) < 64)[holes] & ~kept
    assert (found == expected).all()
    assert (found != noise).any()

"""The activation network's geometry."""

from __future__ import annotations

import pytest
import torch

from wsipsm.nuclei.nets.blocks import folded
from wsipsm.nuclei.nets.encoder import IN_CHANNELS, Encoder, EncoderShape


def random_encoder(*, width: int = 6, blocks: int = 2, cell_px: int = 8, seed: int = 0) -> Encoder:
    """Encoder with random weights and random running statistics, in evaluation mode."""
    torch.manual_seed(seed)
    encoder = Encoder(EncoderShape(width, blocks, 5, cell_px))
    encoder.train()
    with torch.no_grad():
        encoder(torch.randn(4, IN_CHANNELS, 32 + 2 * encoder.shape.halo_px, 32 + 2 * encoder.shape.halo_px))
    return encoder.eval()


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_map_is_smaller_than_its_image_by_the_halo(blocks: int) -> None:
    encoder = random_encoder(blocks=blocks)
    halo = encoder.shape.halo_px

    maps = encoder.activations(torch.zeros(1, IN_CHANNELS, 24 + 2 * halo, 40 + 2 * halo))

    assert [tuple(m.shape) for m in maps] == [(1, 6, 24, 40)] * blocks
    assert encoder.logits(maps).shape == (1, 3, 5)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_pixel_is_seen_exactly_as_far_as_the_halo(blocks: int) -> None:
    encoder = random_encoder(blocks=blocks, width=16).double()
    halo = encoder.shape.halo_px
    planes = torch.zeros(1, IN_CHANNELS, 1 + 4 * halo, 1 + 4 * halo, dtype=torch.float64)
    touched = planes.clone()
    touched[..., 2 * halo, 2 * halo] = 5.0

    with torch.no_grad():
        before, after = encoder.activations(planes)[-1], encoder.activations(touched)[-1]

    y, x = torch.nonzero((before != after).any(dim=1)[0], as_tuple=True)
    assert (y.min(), y.max(), x.min(), x.max()) == (0, 2 * halo, 0, 2 * halo)


def test_all_blocks_are_in_one_frame() -> None:
    encoder = random_encoder(blocks=3)
    halo = encoder.shape.halo_px
    planes = torch.zeros(1, IN_CHANNELS, 21 + 2 * halo, 21 + 2 * halo)
    touched = planes.clone()
    touched[..., halo + 10, halo + 10] = 5.0

    with torch.no_grad():
        pairs = zip(encoder.activations(planes), encoder.activations(touched), strict=True)

    for before, after in pairs:
        y, x = torch.nonzero((before != after).any(dim=1)[0], as_tuple=True)
        assert (y.min() + y.max(), x.min() + x.max()) == (20, 20)


def test_a_wider_image_changes_no_map() -> None:
    encoder = random_encoder().double()
    halo = encoder.shape.halo_px
    planes = torch.rand(1, IN_CHANNELS, 64 + 2 * halo, 96 + 2 * halo, dtype=torch.float64)

    with torch.no_grad():
        whole = encoder.activations(planes)
        part = encoder.activations(planes[..., 16 : 48 + 2 * halo, 32 : 64 + 2 * halo])

    for big, small in zip(whole, part, strict=True):
        torch.testing.assert_close(big[..., 16:48, 32:64], small, rtol=0, atol=1e-12)


def test_an_image_in_a_batch_is_seen_as_alone() -> None:
    encoder = random_encoder().double()
    planes = torch.rand(3, IN_CHANNELS, 30, 30, dtype=torch.float64)

    with torch.no_grad():
        together, alone = encoder(planes), [encoder(p[None]) for p in planes]

    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)


def test_folding_the_norms_changes_no_map() -> None:
    encoder = random_encoder(blocks=3).double()
    planes = torch.rand(2, IN_CHANNELS, 40, 40, dtype=torch.float64)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}

    with torch.no_grad():
        pairs = list(zip(encoder.activations(planes), folded(encoder).activations(planes), strict=True))

    for plain, fast in pairs:
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-12)
    assert all(torch.equal(encoder.state_dict()[name], tensor) for name, tensor in before.items())


def test_the_head_sees_the_mean_of_each_cell() -> None:
    encoder = random_encoder(cell_px=8, blocks=2)
    maps = [torch.rand(1, 6, 16, 24) for _ in range(2)]

    with torch.no_grad():
        found = encoder.logits(maps)

    means = torch.cat([m.reshape(1, 6, 2, 8, 3, 8).mean(dim=(3, 5)) for m in maps], dim=1)
    first, _, last = encoder.head
    hidden = torch.einsum("hc,bcyx->bhyx", first.weight[..., 0, 0], means) + first.bias[:, None, None]
    expected = torch.einsum("h,bhyx->byx", last.weight[0, :, 0, 0], hidden.clamp(min=0)) + last.bias
    torch.testing.assert_close(found, expected)

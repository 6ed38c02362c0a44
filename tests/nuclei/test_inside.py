"""The inside of a block against the whole of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wsipsm.nuclei.compiled import half
from wsipsm.nuclei.nets.blocks import folded
from wsipsm.nuclei.nets.inside import InFloats, inside_of, rims
from wsipsm.nuclei.nets.unet import Segmenter, SegmenterShape


def segmenter(*, logarithm: bool = False) -> Segmenter:
    torch.manual_seed(0)
    return folded(Segmenter(SegmenterShape(3, (4, 8, 12, 16), logarithm)).eval().requires_grad_(False))


@pytest.mark.parametrize("rim", [0, 1, 2, 3, 4, 7, 8, 16, 45, 48])
@pytest.mark.parametrize("logarithm", [False, True])
def test_the_inside_is_that_of_the_whole_network(rim: int, logarithm: bool) -> None:
    net = segmenter(logarithm=logarithm)
    planes = torch.rand(1, 3, 136, 168).contiguous(memory_format=torch.channels_last)

    with torch.inference_mode():
        found, whole = inside_of(net, planes, rim, InFloats(net)), net(planes)

    expected = whole[:, :, rim : 136 - rim, rim : 168 - rim]
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_less_is_left_out_than_the_layers_spoil() -> None:
    for rim_px in range(100):
        wanted = rim_px
        for rim, deeper in rims(rim_px, 3):
            assert rim % 2 == 0
            assert rim == 0 or rim + 2 <= wanted  # two convolutions
            assert deeper == 0 or 2 * deeper + 1 <= rim  # interpolation
            wanted = deeper


def test_planes_are_halved_by_their_maxima() -> None:
    planes = torch.randn(1, 5, 6, 10)

    halved = half(np.ascontiguousarray(planes[0].permute(1, 2, 0).numpy()))

    np.testing.assert_array_equal(halved, F.max_pool2d(planes, 2)[0].permute(1, 2, 0).numpy())

"""The segmenter in bytes: its whole numbers against plain sums, its maps against float32, its calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.io import imread
from torch import nn

from wsipsm.config import Config, SegmenterConfig
from wsipsm.core.maps import DECISION
from wsipsm.nuclei.calibrate import calibrate_segmenter
from wsipsm.nuclei.compiled import lifted_onto
from wsipsm.nuclei.models import shipped_model
from wsipsm.nuclei.nets.blocks import folded
from wsipsm.nuclei.nets.inside import inside_of
from wsipsm.nuclei.nets.integers import InIntegers, Steps, _Packed, observed_ranges
from wsipsm.nuclei.nets.unet import Segmenter, SegmenterShape
from wsipsm.nuclei.recognizer import Recognizer, SegmenterRecognizer, load_recognizer
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.slide.sample import he_field
from wsipsm.stain.normalise import measure_slide

CPU = torch.device("cpu")
INT8 = Config(segmenter=SegmenterConfig(precision="int8"))


def channels_last(x: np.ndarray) -> torch.Tensor:
    """(y, x, c) as (1, c, y, x)."""
    return torch.from_numpy(x).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    """H&E of 500 x 500 px at 0.5 um/px."""
    return np.ascontiguousarray(imread(he_field())[::2, ::2, :3])


@pytest.fixture(scope="module")
def fast(field: np.ndarray) -> Recognizer:
    return calibrate_segmenter(field[None, :256, :256], INT8, model=shipped_model(), device=CPU)


@pytest.mark.parametrize("zero", [0, 57])
@pytest.mark.parametrize("widest", [False, True])
def test_a_convolution_is_that_of_whole_numbers(zero: int, widest: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 15, 8)).astype(np.uint8)
    layer = nn.Conv2d(8, 16, 3, padding=1).requires_grad_(False)
    if widest:  # every product is the greatest there is: pairs of them must not leave 16 bits
        x[:] = 255
        layer.weight.abs_()
        layer.weight[:, 1:] = layer.weight.amax()
    before, behind = Steps(0.02, zero), Steps(0.08 if widest else 0.02, 0)

    found = _Packed.of(layer, before, behind, "relu")(channels_last(x))[0].permute(1, 2, 0).numpy()

    step = layer.weight.abs().amax((1, 2, 3)) / 63
    weight = torch.round(layer.weight / step[:, None, None, None]).double()
    whole = F.conv2d(channels_last(x).double() - zero, weight, padding=1)[0].permute(1, 2, 0).numpy()
    exact = (whole * step.double().numpy() * before.unit + layer.bias.double().numpy()) / behind.unit
    np.testing.assert_allclose(found, np.clip(exact, 0, 255), rtol=0, atol=0.5 + 1e-3)


@pytest.mark.parametrize("count", [8, 16, 3])
@pytest.mark.parametrize("cut", [(0, 0), (4, 2), (6, 0)])
def test_a_skip_and_what_is_lifted_are_added(count: int, cut: tuple[int, int]) -> None:
    rng = np.random.default_rng(count)
    rim, beyond = cut
    low = rng.normal(size=(9, 11, 2 * count)).astype(np.float32)
    height, width = (2 * (side - beyond) + 2 * rim for side in low.shape[:2])
    skip = rng.integers(0, 256, (height, width, count)).astype(np.uint8)
    one, both = 0.013, Steps(0.02, 90)

    found = lifted_onto(skip, low, cut, np.array([one, both.unit, both.zero], np.float32))

    fine = F.interpolate(channels_last(low[..., :count] + low[..., count:]), scale_factor=2.0, mode="bilinear")
    inner = fine[0].permute(1, 2, 0).numpy()[beyond : fine.shape[2] - beyond, beyond : fine.shape[3] - beyond]
    exact = (skip[rim : height - rim, rim : width - rim] * one + inner) / both.unit + both.zero
    np.testing.assert_allclose(found, np.clip(exact, 0, 255), rtol=0, atol=0.5 + 1e-3)


@pytest.mark.parametrize("widths", [(8, 16, 24), (4, 6, 10)])
@pytest.mark.parametrize("rim", [0, 3, 16])
def test_the_inside_is_that_of_the_whole_network(widths: tuple[int, ...], rim: int) -> None:
    torch.manual_seed(0)
    net = folded(Segmenter(SegmenterShape(3, widths)).eval().requires_grad_(False))
    planes = torch.rand(1, 3, 64, 96).contiguous(memory_format=torch.channels_last)
    by = InIntegers(net, observed_ranges(net, planes))
    given = channels_last(by.input.bytes_of(planes[0].permute(1, 2, 0).contiguous().numpy()))

    with torch.inference_mode():
        found, whole, floats = inside_of(net, given, rim, by), inside_of(net, given, 0, by), net(planes)

    assert torch.equal(found, whole[:, :, rim : 64 - rim, rim : 96 - rim])
    assert (whole - floats).abs().mean() < 0.02 * floats.std()


def test_maps_are_nearly_those_of_float32(field: np.ndarray, fast: Recognizer) -> None:
    slow = calibrate_segmenter(field[None, :256, :256], Config(), model=shipped_model(), device=CPU)

    bytes_of, floats_of = (one.block(np.ascontiguousarray(field[:400, :400])).astype(int) for one in (fast, slow))

    assert (bytes_of != floats_of).any()
    assert np.abs(bytes_of[0] - floats_of[0]).mean() < 0.01 * 255
    agree = (bytes_of[1] >= DECISION) == (floats_of[1] >= DECISION)
    assert agree.mean() > 0.985
    np.testing.assert_array_equal(bytes_of[2:], floats_of[2:])


def test_a_calibration_keeps_the_ranges(tmp_path: Path, field: np.ndarray, fast: Recognizer) -> None:
    fast.save(tmp_path / "calibration.pt")

    again = load_recognizer(tmp_path / "calibration.pt", device=CPU)

    block = np.ascontiguousarray(field[100:300, 100:308])
    np.testing.assert_array_equal(again.block(block), fast.block(block))
    assert isinstance(again, SegmenterRecognizer)
    assert again.config.precision == "int8"


def test_a_network_that_begins_with_a_logarithm_gets_bytes_of_it(field: np.ndarray) -> None:
    torch.manual_seed(0)
    net = SegmentationNet(Segmenter(SegmenterShape(3, (8, 16), True)).eval(), mpp=0.5, provenance={}, device=CPU)
    stats, blocks = measure_slide(field[None]), [np.ascontiguousarray(field[:131, :150])]  # no whole strides

    bytes_of = net.maps_inside(blocks, stats, rim_px=4, by=net.integers(net.ranges(blocks, stats)))[0]

    for found, expected in zip(bytes_of, net.maps_inside(blocks, stats, rim_px=4)[0], strict=True):
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_range_holds_its_zero() -> None:
    steps = Steps.over((-0.7, 1.9))

    assert steps.bytes_of(np.float32([0])) == steps.zero
    values = np.linspace(-0.7, 1.9, 50, dtype=np.float32)
    np.testing.assert_allclose((steps.bytes_of(values).astype(float) - steps.zero) * steps.unit, values, atol=0.006)
    assert list(steps.bytes_of(np.float32([-9, 9]))) == [0, 255]


def test_the_usual_precision_leaves_earlier_results_as_they_are() -> None:
    assert "precision" not in Config().result_keys()["segmenter"]
    assert INT8.result_keys()["segmenter"]["precision"] == "int8"

"""The network by compiled code against the network by PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from wsipsm.nuclei.nets.blocks import arrays_of
from wsipsm.nuclei.nets.by_rows import ByRows, rims
from wsipsm.nuclei.nets.shape import SegmenterShape
from wsipsm.nuclei.nets.unet import Segmenter

WIDTHS = [(8, 16, 32, 48), (4, 6, 10), (8, 24), (4,)]


def segmenter(widths: tuple[int, ...] = WIDTHS[0]) -> Segmenter:
    torch.manual_seed(0)
    net = Segmenter(SegmenterShape(3, widths)).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return net


def by_rows(net: Segmenter) -> ByRows:
    return ByRows(net.shape, arrays_of(net))


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).normal(0.4, 0.5, (height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize(
    ("height", "width", "rim"), [(8, 8, 0), (136, 168, 45), (104, 72, 4), (24, 264, 1), (40, 32, 8)]
)
def test_it_says_what_the_network_says(widths: tuple[int, ...], height: int, width: int, rim: int) -> None:
    net, planes = segmenter(widths), image(height, width)

    found = by_rows(net).inside(planes, rim)

    exact = net.double()(torch.from_numpy(planes).double().permute(2, 0, 1)[None])[0]
    expected = exact[:, rim : height - rim, rim : width - rim].numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_less_is_left_out_than_the_layers_spoil() -> None:
    for rim_px in range(100):
        wanted = rim_px
        for rim, deeper in rims(rim_px, 3):
            assert rim % 2 == 0
            assert rim == 0 or rim + 2 <= wanted  # two convolutions
            assert deeper == 0 or 2 * deeper + 1 <= rim  # interpolation
            wanted = deeper


@pytest.mark.parametrize("rim", [1, 2, 7, 16, 45, 48])
def test_the_inside_has_the_bits_of_the_whole(rim: int) -> None:
    by, planes = by_rows(segmenter()), image(168, 136)

    np.testing.assert_array_equal(by.inside(planes, rim), by.inside(planes, 0)[:, rim : 168 - rim, rim : 136 - rim])


def test_bits_do_not_depend_on_the_width_of_a_block_or_what_lies_far_from_a_pixel() -> None:
    by, planes = by_rows(segmenter()), image(160, 304)
    reach = 48 + 16  # halo and what is beyond it of the receptive field

    narrow = by.inside(np.ascontiguousarray(planes[:, :200]), 0)

    np.testing.assert_array_equal(narrow[:, :, : 200 - reach], by.inside(planes, 0)[:, :, : 200 - reach])


NARROWER = """\
import sys
import numpy as np
from llvmlite import binding
asked = binding.get_host_cpu_features
known = {"avx2": asked().get("avx2", False)} if asked().get("avx512f") else {}
binding.get_host_cpu_features = lambda: known  # of a CPU of an earlier year
from wsipsm.nuclei.nets import vectors
binding.get_host_cpu_features = asked
from tests.nuclei.test_by_rows import by_rows, image, segmenter
np.save(sys.argv[1], by_rows(segmenter()).inside(image(72, 88), 5))
print(vectors.LANES)
"""


def test_bits_do_not_depend_on_the_vectors_of_a_cpu(tmp_path: Path) -> None:
    from wsipsm.nuclei.nets.vectors import LANES

    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", NARROWER, str(tmp_path / "found.npy")]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert int(printed) < LANES or LANES == 4
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), by_rows(segmenter()).inside(image(72, 88), 5))

"""Forward passes of what others use, beside ours: ``python -m benchmarks peers --also FOLDER``.

Seconds of one CPU thread a square millimetre of tissue, each network on the patches and at the resolution that its own
documents give, with random weights: speed only. Instances, outlines, reading and writing are left out, of all but the
ten-line baseline, which has no network. TIAToolbox's networks come with wsipsm; those of Cellpose 3 and InstanSeg are
measured where ``--also`` names a folder with those packages (``pip install --no-deps --target FOLDER 'cellpose<4'
instanseg-torch einops fastremap``). Each of theirs is timed in the faster of both memory layouts, in float32.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import write_table
from benchmarks.psm_monuseg import baseline
from wsipsm.engine.cluster.plugin import settle_worker
from wsipsm.nuclei.models import shipped_model
from wsipsm.nuclei.nets.checkpoint import load_checkpoint
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import measure_slide


@dataclass(frozen=True)
class Peer:
    """One forward pass: what it is called, its output's side in px and micrometres a px, and the pass."""

    name: str
    side_px: int
    mpp: float
    forward: Callable[[], object]

    @property
    def mm2(self) -> float:
        """Tissue of one pass."""
        return (self.side_px * self.mpp / 1000) ** 2


def ours() -> Iterator[Peer]:
    """The shipped segmenter, and the ten lines that it has to beat."""
    net = SegmentationNet.of_checkpoint(load_checkpoint(shipped_model()), device="cpu")
    image = np.random.default_rng(0).integers(0, 255, (608, 608, 3)).astype(np.uint8)
    stats = measure_slide(image[None])
    yield Peer("wsipsm, shipped segmenter", 512, 0.5, lambda: net.maps_inside([image], stats, rim_px=48))
    yield Peer("ten-line baseline, whole", 608, 0.5, lambda: baseline(image))


def tiatoolbox() -> Iterator[Peer]:
    """HoVer-Net (fast) and the U-Net of the BCSS segmentor, with the patches of TIAToolbox's table of models."""
    from tiatoolbox.models.architecture.hovernet import HoVerNet
    from tiatoolbox.models.architecture.unet import UNetModel

    hover = HoVerNet(num_types=6, mode="fast")
    yield _network("TIAToolbox, HoVer-Net fast", hover, 256, 164, 0.25)
    unet = UNetModel(num_input_channels=3, num_output_channels=5, encoder="resnet50", decoder_block=(3, 3))
    yield _network("TIAToolbox, U-Net of ResNet-50", unet, 1024, 512, 0.25)


def cellpose() -> Iterator[Peer]:
    """The network of Cellpose 3 at 30 px a diameter of 8 um, on 224 px with a tenth of overlap."""
    package = importlib.import_module("cellpose.resnet_torch")
    net = package.CPnet([2, 32, 64, 128, 256], 3, sz=3)
    yield _network("Cellpose 3", net, 224, 202, 8 / 30, channels=2)


def instanseg() -> Iterator[Peer]:
    """The U-Net of InstanSeg at 0.5 um/px, on 512 px with 80 px of overlap."""
    package = importlib.import_module("instanseg.utils.models.InstanSeg_UNet")
    net = package.InstanSeg_UNet(in_channels=3, out_channels=[[2, 2, 1]], layers=[256, 128, 64, 32])
    yield _network("InstanSeg, U-Net", net, 512, 432, 0.5)


def _network(name: str, net: Any, input_px: int, side_px: int, mpp: float, channels: int = 3) -> Peer:
    """The faster of both memory layouts."""
    planes, layouts = torch.rand(1, channels, input_px, input_px), (torch.contiguous_format, torch.channels_last)
    net.eval()

    def in_layout(layout: torch.memory_format) -> Callable[[], object]:
        torch.nn.Module.to(net, memory_format=layout)  # TIAToolbox has a method of that name of its own
        return partial(net, planes.contiguous(memory_format=layout))

    faster = min(layouts, key=lambda layout: _seconds(in_layout(layout), 1))
    return Peer(name, side_px, mpp, in_layout(faster))


def _seconds(call: Callable[[], object], rounds: int) -> float:
    """Least CPU seconds of a call, after one that does not count."""
    found = []
    for _ in range(rounds + 1):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--also", type=Path, help="folder with the packages cellpose and instanseg")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("peers.json"))
    options = parser.parse_args()
    if options.also:
        sys.path.append(str(options.also))
    torch.set_num_threads(1)
    settle_worker()
    table: dict[str, float] = {}
    with torch.inference_mode():
        for family in (ours, tiatoolbox, cellpose, instanseg):
            with contextlib.suppress(ModuleNotFoundError):
                for peer in family():
                    table[peer.name] = round(_seconds(peer.forward, options.rounds) / peer.mm2, 2)
                    times = table[peer.name] / next(iter(table.values()))
                    print(f"{peer.name:<32} {table[peer.name]:8.2f} s/mm2 {times:6.1f} x", flush=True)
    write_table(options.json, {"seconds_per_mm2": table})


if __name__ == "__main__":
    main()

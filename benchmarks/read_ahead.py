"""What reading ahead gains from a slow disk: ``python -m benchmarks read_ahead [--milliseconds 50 200 800]``.

A tile of four blocks goes through a network of the shipped shape; each row of blocks takes so long to read, in which
the reader only waits. In turns: rows read ahead as ``wsipsm run`` does, and everything read first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from benchmarks.measuring import Spent, in_turns, ratio
from wsipsm.config import SegmenterConfig
from wsipsm.core.geometry import Box, Image
from wsipsm.engine.cluster.plugin import settle_worker
from wsipsm.engine.tasks.map_tile import _mapped
from wsipsm.engine.tasks.workbench import Stopwatch
from wsipsm.nuclei.levels import Levels
from wsipsm.nuclei.nets.shape import SegmenterShape
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.recognizer import SegmenterRecognizer
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import SlideStats

SIDE_PX = 512
CORE = Box(0, 0, 2 * SIDE_PX, 2 * SIDE_PX)
BLOCKS = [Box(x, y, x + SIDE_PX, y + SIDE_PX) for y in (0, SIDE_PX) for x in (0, SIDE_PX)]


def work(recognizer: SegmenterRecognizer, image: Image, seconds: float, *, ahead: bool) -> Spent:
    """Map a tile whose rows take so long to read."""

    def read(blocks: list[Box]) -> dict[Box, Image]:
        time.sleep(seconds if ahead else 0)
        return dict.fromkeys(blocks, image)

    start, before = time.perf_counter(), time.process_time()
    time.sleep(0 if ahead else 2 * seconds)
    _mapped(CORE, BLOCKS, read, recognizer, Stopwatch())
    return Spent(time.perf_counter() - start, time.process_time() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--milliseconds", type=float, nargs="+", default=[50, 200, 800])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    settle_worker()
    net = SegmentationNet.of_network(
        Segmenter(SegmenterShape(3, (8, 16, 32, 48))), mpp=0.5, provenance={}, device="cpu"
    )
    recognizer = SegmenterRecognizer(net, SlideStats((1.0,) * 3, 0.4), SegmenterConfig(), Levels(1.0, 0.1, {}, 0))
    side = SIDE_PX + 2 * recognizer.halo_px
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    work(recognizer, image, 0, ahead=True)
    for milliseconds in options.milliseconds:
        parts: dict[str, Callable[[], Spent]] = {
            "read first": lambda ms=milliseconds: work(recognizer, image, ms / 1000, ahead=False),
            "read ahead": lambda ms=milliseconds: work(recognizer, image, ms / 1000, ahead=True),
        }
        gain = ratio(in_turns(parts, options.rounds), "read first", "read ahead", "wall")
        print(f"{milliseconds:g} ms a row: {gain:.2f} times as fast (median of the rounds, wall)")


if __name__ == "__main__":
    main()

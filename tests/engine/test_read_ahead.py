"""Reading the next row of blocks while the network works on the one before."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from wsipsm.config import SegmenterConfig
from wsipsm.core.geometry import Box, Image
from wsipsm.engine.tasks.map_tile import _mapped
from wsipsm.engine.tasks.workbench import Stopwatch
from wsipsm.nuclei.levels import Levels
from wsipsm.nuclei.nets.shape import SegmenterShape
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.recognizer import SegmenterRecognizer
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import SlideStats

SIDE = 32
CORE = Box(0, 0, 2 * SIDE, 3 * SIDE)
BLOCKS = [Box(x, y, x + SIDE, y + SIDE) for y in range(0, CORE.y1, SIDE) for x in range(0, CORE.x1, SIDE)]
PLANE = np.random.default_rng(0).integers(0, 256, (600, 600, 3)).astype(np.uint8)


class Patient(SegmenterRecognizer):
    """Waits in the midst of its work until the next row is being read, if one is to come."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        net = SegmentationNet.of_network(Segmenter(SegmenterShape(3, (4, 8))), mpp=0.5, provenance={}, device="cpu")
        super().__init__(net, SlideStats((0.9, 1.1, 0.8), 0.4), SegmenterConfig(), Levels(1.0, 0.1, {}, 0))
        self.rows_read: list[threading.Event] = [threading.Event() for _ in range(3)]
        self.rows_done = 0

    def blocks(self, images: Sequence[Image]) -> list[npt.NDArray[np.uint8]]:
        if self.rows_done + 1 < len(self.rows_read):
            assert self.rows_read[self.rows_done + 1].wait(60), "nobody read ahead"
        self.rows_done += 1
        return super().blocks(images)


def test_the_next_row_is_read_while_the_network_works_and_the_maps_are_the_same() -> None:
    recognizer = Patient()
    halo = recognizer.halo_px

    def read(blocks: list[Box]) -> dict[Box, Image]:
        recognizer.rows_read[blocks[0].y0 // SIDE].set()
        around = [block.expand(halo) for block in blocks if block != BLOCKS[3]]
        cut = {box.expand(-halo): PLANE[box.y0 + halo : box.y1 + halo, box.x0 + halo : box.x1 + halo] for box in around}
        return {block: np.ascontiguousarray(image) for block, image in cut.items()}

    maps, missing = _mapped(CORE, BLOCKS, read, recognizer, Stopwatch())

    assert missing == (BLOCKS[3],)
    for block in BLOCKS:
        image = PLANE[block.y0 : block.y1 + 2 * halo, block.x0 : block.x1 + 2 * halo]
        expected = np.zeros((4, SIDE, SIDE), np.uint8) if block in missing else recognizer.block(image)
        np.testing.assert_array_equal(maps[:, *block.slices], expected)

"""How fast the segmenter path is: ``python -m benchmarks.segmenter_speed --data ../shared/data/monuseg``.

Two processes with one thread each do what two workers do, on a mosaic of real H&E at 0.5 um/px: blocks through the
network, then instances of cores with their halo. Reading, outlines and writing are left out.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy import halved
from tests.helpers.slidegen import mosaic, read_rgb
from wsipsm.cells import instances as labels
from wsipsm.config import load_config
from wsipsm.core.maps import DECISION
from wsipsm.engine.cluster.plugin import settle_worker
from wsipsm.nuclei.calibrate import calibrate_segmenter
from wsipsm.nuclei.models import shipped_model


def work(image: np.ndarray, repeats: int) -> tuple[float, float, int]:
    """Seconds of the network, of the instances, and cells found, in one process."""
    torch.set_num_threads(1)
    settle_worker()
    config = load_config("he")
    patches = np.stack([image[y : y + 128, x : x + 128] for y in range(0, 1024, 128) for x in range(0, 1024, 128)])
    recognizer = calibrate_segmenter(patches, config, model=shipped_model(), device="cpu")
    side, halo, around = (
        config.tiles.block_px,
        recognizer.halo_px,
        labels.halo_px(config.instance_rules, config.grid.mpp),
    )
    padded = np.pad(image, [(halo, halo), (halo, halo), (0, 0)], mode="reflect")
    evidence = np.zeros(image.shape[:2], np.uint8)
    recognizer.block(padded[: side + 2 * halo, : side + 2 * halo])
    start = time.perf_counter()
    for _ in range(repeats):
        for y in range(0, image.shape[0], side):
            for x in range(0, image.shape[1], side):
                block = recognizer.block(padded[y : y + side + 2 * halo, x : x + side + 2 * halo])
                evidence[y : y + side, x : x + side] = block[1]
    middle = time.perf_counter()
    window = np.pad(evidence, around)
    for _ in range(repeats):
        found = labels.instances(window, window >= DECISION, mpp=config.grid.mpp, config=config.instance_rules)
    return middle - start, time.perf_counter() - middle, int(found.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=4)
    options = parser.parse_args()
    images = [halved(read_rgb(path)) for path in sorted((options.data / "images").iterdir())]
    image = mosaic(images, 1024)
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(work, [image] * options.processes, [options.repeats] * options.processes))
    mpx = options.repeats * image.shape[0] * image.shape[1] / 1e6
    for network, instances, cells in done:
        print(f"network {network / mpx:.2f} s/Mpx, instances {instances / mpx:.2f} s/Mpx, {cells} cells")
    rate = sum(mpx / (network + instances) for network, instances, _ in done)
    print(f"{options.processes} processes of one thread: {rate:.2f} Mpx/s at 0.5 um/px, instances included")


if __name__ == "__main__":
    main()

"""Network and instances on blocks in memory, on a GPU or a CPU: ``python -m benchmarks gpu [--device cuda]``.

Needs PyTorch, NumPy, OpenCV and SciPy, and nothing else. The network has the shape of the shipped one and random
weights; instances are 4-connected components of its distance map above a threshold, found on CPU threads while the next
batch is under way. On a GPU, batches are copied from pinned memory in a stream of their own, and are halved when memory
runs out. Prints Mpx/s, the share of the time that the GPU computed, and how far maps are from those of the CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch
from scipy import ndimage

from wsipsm.nuclei.nets.blocks import folded
from wsipsm.nuclei.nets.device import half_precision
from wsipsm.nuclei.nets.shape import SegmenterShape
from wsipsm.nuclei.nets.unet import Segmenter

SIDE_PX, HALO_PX, LEAST_PX = 512, 48, 16
SHAPE = SegmenterShape(3, (8, 16, 32, 48))
Events = tuple[torch.cuda.Event, ...] | None
"""When a GPU begins to compute a batch, ends, and has copied its maps back."""


class Feeder:
    """Runs batches on a device; on a GPU the copies of one batch go beside the work on another.

    Parameters
    ----------
    device : torch.device
        Where to compute.
    """

    def __init__(self, device: torch.device) -> None:
        torch.manual_seed(0)
        self.device, self.busy_s = device, 0.0
        self._net = folded(Segmenter(SHAPE).eval().requires_grad_(False)).to(device)
        self._net = self._net.to(memory_format=torch.channels_last)
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None

    @torch.inference_mode()
    def run(self, batches: Iterator[torch.Tensor]) -> Iterator[np.ndarray]:
        """Distance maps (b, y, x) float32 of batches (b, 3, y, x), two of them under way at a time."""
        under_way: deque[tuple[torch.Tensor, Events]] = deque()
        for batch in batches:
            under_way.append(self._start(batch))
            if len(under_way) == 2:
                yield self._finish(*under_way.popleft())
        while under_way:
            yield self._finish(*under_way.popleft())

    def _start(self, batch: torch.Tensor) -> tuple[torch.Tensor, Events]:
        if self._copies is None:
            return self._forward(batch).contiguous(), None
        with torch.cuda.stream(self._copies):
            planes = batch.pin_memory().to(self.device, non_blocking=True)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        work = torch.cuda.current_stream(self.device)
        work.wait_stream(self._copies)
        planes.record_stream(work)
        begin.record(work)
        maps = self._forward(planes)
        end.record(work)
        target = torch.empty(maps.shape, dtype=maps.dtype, pin_memory=True)
        self._copies.wait_stream(work)
        with torch.cuda.stream(self._copies):
            target.copy_(maps, non_blocking=True)
            maps.record_stream(self._copies)
            done = torch.cuda.Event()
            done.record(self._copies)
        return target, (begin, end, done)

    def _forward(self, planes: torch.Tensor) -> torch.Tensor:
        planes = planes.contiguous(memory_format=torch.channels_last)
        with half_precision("cuda" if self.device.type == "cuda" else "cpu"):
            found = self._net(planes)[:, 1, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        return found.float()

    def _finish(self, maps: torch.Tensor, events: Events) -> np.ndarray:
        if events is not None:
            begin, end, done = events  # waits for this batch alone
            done.synchronize()
            self.busy_s += begin.elapsed_time(end) / 1000
        return maps.numpy()


def instances(distance: np.ndarray, threshold: float) -> int:
    """Number of components of a smoothed distance map (y, x) that are not specks."""
    smooth = cv2.GaussianBlur(distance, (7, 7), 1.0)
    labels, _ = ndimage.label(smooth > threshold)
    return int((np.bincount(labels.ravel())[1:] >= LEAST_PX).sum())


def planes_of(blocks: int, seed: int = 0) -> torch.Tensor:
    """Blocks (b, 3, y, x) float32 of smooth noise, of the size of tissue's densities."""
    side, random = SIDE_PX + 2 * HALO_PX, np.random.default_rng(seed)
    noise = random.random((blocks, 3, side // 8, side // 8), np.float32)
    return torch.nn.functional.interpolate(torch.from_numpy(noise), size=(side, side), mode="bilinear")


def measure(
    device: torch.device, blocks: torch.Tensor, batch: int, threads: int
) -> tuple[float, float, int, np.ndarray]:
    """Wall seconds, seconds that the GPU computed, components, and the first map."""
    feeder, counts, first = Feeder(device), deque[Future[int]](), None
    list(feeder.run(iter(blocks[:batch].split(batch))))  # warm
    feeder.busy_s, start = 0.0, time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for maps in feeder.run(iter(blocks.split(batch))):
            first = maps[0] if first is None else first
            threshold = float(np.median(first)) + float(first.std())
            counts.extend(pool.submit(instances, one, threshold) for one in maps)
        found = sum(count.result() for count in counts)
    assert first is not None
    return time.perf_counter() - start, feeder.busy_s, found, first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--blocks", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2, help="for instances")
    options = parser.parse_args()
    device, batch, blocks = torch.device(options.device), options.batch, planes_of(options.blocks)
    while True:
        with contextlib.suppress(torch.OutOfMemoryError):
            seconds, busy, found, first = measure(device, blocks, batch, options.threads)
            break
        if batch == 1:
            raise SystemExit("the GPU cannot hold one block")
        batch //= 2
        torch.cuda.empty_cache()
        print(f"out of memory: batches of {batch}")
    megapixels = len(blocks) * SIDE_PX**2 / 1e6
    print(f"{device}: {megapixels:.1f} Mpx, {found:,} components, {seconds:.2f} s: {megapixels / seconds:.1f} Mpx/s")
    if device.type == "cuda":
        _, _, _, by_cpu = measure(torch.device("cpu"), blocks[:1], 1, 1)
        print(
            f"GPU busy {100 * busy / seconds:.0f} %; maps differ from the CPU's by {np.abs(first - by_cpu).max():.1e}"
        )


if __name__ == "__main__":
    main()

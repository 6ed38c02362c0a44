"""Batches on a device whose memory is short."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from wsipsm.core.errors import DeviceMemoryError
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.models import shipped_model
from wsipsm.nuclei.nets.device import GPU_BATCH, Batches, limited_threads
from wsipsm.slide import open_slide
from wsipsm.slide.sample import he_field
from wsipsm.stain.normalise import measure_slide


class Device:
    """Squares numbers, as many at a time as its memory holds; torch's own error beyond."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.seen: list[int] = []

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.seen.append(len(batch))
        if len(batch) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return [number * number for number in batch]


def test_a_batch_that_does_not_fit_is_halved_for_good() -> None:
    batches, device = Batches("cuda"), Device(holds=3)

    first = batches.run(device, range(11))
    second = batches.run(device, range(5))

    assert first == [n * n for n in range(11)]
    assert second == [n * n for n in range(5)]
    assert device.seen == [8, 4, 2, 2, 2, 2, 2, 1, 2, 2, 1]


def test_a_last_small_batch_says_how_much_fits() -> None:
    batches, device = Batches("cuda"), Device(holds=2)

    assert batches.run(device, range(3)) == [0, 1, 4]
    assert device.seen == [3, 1, 1, 1]


def test_a_device_that_holds_nothing_is_named() -> None:
    with pytest.raises(DeviceMemoryError, match=r"cannot hold one block \(CUDA out of memory\.\)"):
        Batches("cuda").run(Device(holds=0), range(GPU_BATCH))


def test_a_cpu_gets_one_block_at_a_time() -> None:
    device = Device(holds=99)

    Batches("cpu").run(device, range(3))

    assert device.seen == [1, 1, 1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_the_maps_of_the_cpu() -> None:
    with open_slide(he_field(), mpp=0.5) as slide:
        field = slide.read(slide.grid(0.5).box, slide.grid(0.5))[:512, :512]
    stats = measure_slide(field[None])
    nets = [load_segmenter(shipped_model(), mpp=0.5, device=name) for name in ("cpu", "cuda")]

    cpu, gpu = (net.maps_of([field, field[::-1].copy()], stats) for net in nets)

    for one, other in zip(cpu, gpu, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-2)


def test_threads_that_overlap_leave_the_process_its_own_number() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))
    seen = list[int]()

    def first() -> None:
        with limited_threads(1):
            first_is_in.set()
            second_is_in.wait(60)
        first_is_out.set()

    def second() -> None:
        first_is_in.wait(60)
        with limited_threads(2):
            second_is_in.set()
            first_is_out.wait(60)
            seen.append(torch.get_num_threads())
            with limited_threads(1):
                seen.append(torch.get_num_threads())
            seen.append(torch.get_num_threads())

    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda call: call(), (first, second)))
        new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        new.start()
        new.join()
    finally:
        torch.set_num_threads(before)

    assert seen == [2, 1, 2, 3]

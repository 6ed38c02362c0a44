"""Set-up of a worker process before its first task: its own GPU, threads, memory."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import Any

from distributed import WorkerPlugin

_KEPT_BYTES, _PAD_BYTES = 1 << 28, 1 << 26
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


class LocalWorker(WorkerPlugin):
    """Sets up each worker process of a local cluster, and again each process that replaces one that died.

    Parameters
    ----------
    gpus : sequence of str
        Values of ``CUDA_VISIBLE_DEVICES``, one a worker, by the worker's number; empty where there is no GPU.
    """

    name = "wsipsm-local-worker"

    def __init__(self, gpus: Sequence[str] = ()) -> None:
        self._gpus = tuple(gpus)

    def setup(self, worker: Any) -> None:
        """Give the process its GPU, before anything in it has asked CUDA, and settle it."""
        if self._gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = self._gpus[int(worker.name) % len(self._gpus)]
        settle_worker()


def visible_gpus(count: int) -> list[str]:
    """Names of the GPUs that this process may give away, as ``CUDA_VISIBLE_DEVICES`` has them."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",") if count else []


def settle_worker() -> None:
    """Make this process one that works beside others: OpenCV takes one thread, and freed memory is kept.

    A worker is one of many on its machine, and OpenCV's threads would wait for those of the next worker. Memory of one
    block is kept for the next, where the C library is glibc: with the 64 kB that Dask sets for its workers, every
    feature map is handed back to the system and faulted in again, which makes the network three times as slow
    (measured: 0.63 against 0.19 s per megapixel). A heap of 64 MB, which every thread but the first has, is handed back
    whole, unless more than that is to be kept.
    """
    import cv2  # here, for the client has no use for it

    cv2.setNumThreads(1)
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TOP_PAD, _PAD_BYTES)

"""Which device computes, and with how many threads; PyTorch is imported only by what it computes."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import ConfigError, DeviceMemoryError
from wsipsm.core.gpus import gpu_count

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda"]
"""What computes; a worker sees only its own GPU, so no number is needed."""

Item = TypeVar("Item")
Result = TypeVar("Result")

GPU_BATCH = 8
"""Blocks that a GPU gets at a time, as long as its memory bears it."""


def pick_device(name: str) -> Device:
    """Device of a name.

    Parameters
    ----------
    name : {'auto', 'cpu', 'cuda'}
        ``auto`` takes CUDA where there is one.

    Raises
    ------
    ConfigError
        ``cuda`` was asked for and there is none.
    """
    found = gpu_count() > 0
    if name == "cuda" and not found:
        raise ConfigError("--device cuda: no CUDA device is visible on this worker; use --device auto or cpu")
    return "cuda" if found and name != "cpu" else "cpu"


class _Limits(threading.local):
    """Of this thread: the number that it runs torch on inside `limited_threads`."""

    now: int | None = None


_LIMITS, _GUARD = _Limits(), threading.Lock()
_limited = 0
_of_process = 0


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Run torch on so many CPU threads inside this thread; the process has its own number again after the last one.

    The number is set on purpose: some CPU kernels sum in another order with other threads. Torch keeps it for each
    thread, and as what a new thread begins with: a thread that begins while another is limited must not take that for
    the process's own number and leave it behind.
    """
    import torch

    global _limited, _of_process
    found = torch.get_num_threads()  # first: a thread's first question sets its number to the process's
    with _GUARD:
        _of_process = _of_process if _limited else found
        _limited += 1
    before, _LIMITS.now = _LIMITS.now, threads
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        _LIMITS.now = before
        with _GUARD:
            _limited -= 1
            torch.set_num_threads(before or _of_process)


CALIBRATION_THREADS = 2
"""Threads of what is computed once a slide: a worker that calibrates keeps others waiting, where there is one slide."""


def computing_threads(device: Device, count: int = CALIBRATION_THREADS) -> ThreadPoolExecutor:
    """So many threads for what a CPU is to compute; a GPU is given one thing at a time."""
    return ThreadPoolExecutor(count if device == "cpu" else 1, "computing")


def on_device(inputs: Sequence[npt.NDArray[Any]], device: Device) -> torch.Tensor:
    """Join (1, ...) planes to a batch on a device; to a GPU they go through pinned memory, without a wait."""
    import torch

    planes = torch.from_numpy(np.concatenate(inputs) if len(inputs) > 1 else inputs[0])
    return planes.pin_memory().to(device, non_blocking=True) if device == "cuda" else planes


def half_precision(device: Device) -> torch.autocast:
    """Context of float16 on a GPU; of nothing on a CPU."""
    import torch

    return torch.autocast(device, dtype=torch.float16, enabled=device == "cuda")


class Batches:
    """Hands items to a device in batches, halved for good where its memory runs out.

    Parameters
    ----------
    device : {'cpu', 'cuda'}
        A CPU gets one item at a time: it gains nothing from more, and its bits might depend on them.

    Examples
    --------
    >>> Batches("cpu").run(lambda some: [len(some)] * len(some), "abc")
    [1, 1, 1]
    """

    def __init__(self, device: Device) -> None:
        self.size = GPU_BATCH if device == "cuda" else 1

    def run(self, call: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
        """Results of all items in order; ``call`` takes a batch and gives one result an item.

        Raises
        ------
        DeviceMemoryError
            Not even one item fits.
        """
        done: list[Result] = []
        while len(done) < len(items):
            some = items[len(done) : len(done) + self.size]
            try:
                done += call(some)
            except RuntimeError as error:
                if type(error).__name__ != "OutOfMemoryError":  # of PyTorch, which a CPU may do without
                    raise
                if len(some) == 1:
                    reason = " ".join(str(error).split())
                    raise DeviceMemoryError(
                        f"the GPU cannot hold one block ({reason}); close what else uses it, or take --device cpu"
                    ) from None
                self.size = len(some) // 2
                sys.modules["torch"].cuda.empty_cache()
        return done

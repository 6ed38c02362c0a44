"""Which device computes, and with how many threads."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from wsipsm.errors import ConfigError


def gpu_count() -> int:
    """CUDA devices of this machine."""
    # Asking CUDA costs a second and a half, and there is none without its driver.
    driver = sys.platform != "linux" or any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/dxg"))
    return torch.cuda.device_count() if driver else 0


def gpu_names() -> list[str]:
    """Names of the CUDA devices of this machine."""
    return [torch.cuda.get_device_name(number) for number in range(gpu_count())]


def pick_device(name: str) -> torch.device:
    """Device of a name.

    Parameters
    ----------
    name : {'auto', 'cpu', 'cuda'}
        ``auto`` takes CUDA where there is one. A worker sees only its own GPU, so no number is needed.

    Raises
    ------
    ConfigError
        ``cuda`` was asked for and there is none.
    """
    found = gpu_count() > 0
    if name == "cuda" and not found:
        raise ConfigError("--device cuda: no CUDA device is visible on this worker; use --device auto or cpu")
    return torch.device("cuda" if found and name != "cpu" else "cpu")


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Run torch on so many CPU threads inside, as before afterwards.

    The number is set on purpose: some CPU kernels sum in another order with other threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

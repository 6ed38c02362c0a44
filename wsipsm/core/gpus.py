"""GPUs of this machine; PyTorch is imported only where a GPU driver is installed."""

from __future__ import annotations

import sys
from pathlib import Path


def gpu_count() -> int:
    """Number of CUDA devices of this machine."""
    if sys.platform == "linux" and not any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/dxg")):
        return 0
    import torch

    return torch.cuda.device_count()


def gpu_names() -> list[str]:
    """Names of the CUDA devices of this machine."""
    count = gpu_count()
    if not count:
        return []
    import torch

    return [torch.cuda.get_device_name(number) for number in range(count)]

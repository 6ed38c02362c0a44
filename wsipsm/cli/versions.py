"""Versions that matter in a report of a mistake, found without importing PyTorch."""

from __future__ import annotations

import importlib.util
import platform
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from wsipsm import __version__

PACKAGES = ("zarr", "dask", "tiatoolbox")
"""Packages whose version is printed as it is."""


def version_lines() -> Iterator[str]:
    """Name and version, a line each; the first is wsipsm's.

    Returns
    -------
    iterator of str
        wsipsm, Python, torch and the CUDA it was built for, OpenSlide's library and its binding, and the rest.
    """
    yield f"wsipsm {__version__}"
    yield f"Python {platform.python_version()}, {platform.platform()}"
    yield f"torch {_version('torch')}{_cuda_of_torch()}"
    yield f"OpenSlide {_openslide()}"
    for name in PACKAGES:
        yield f"{name} {_version(name)}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cuda_of_torch() -> str:
    """CUDA version in the file that PyTorch's build writes; importing PyTorch takes seconds."""
    spec = importlib.util.find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    if file is None or not file.is_file():
        return ""
    found = re.search(r"^cuda\b.*= *'([\d.]+)'", file.read_text(encoding="utf-8"), re.MULTILINE)
    return f" (CUDA {found[1]})" if found else " (no CUDA)"


def _openslide() -> str:
    try:
        from wsipsm.slide import openslide_versions
    except (ImportError, OSError) as error:  # its C library is missing
        return f"cannot be loaded: {' '.join(str(error).split())}"
    return openslide_versions()

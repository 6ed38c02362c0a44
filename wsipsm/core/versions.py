"""Versions that a result depends on."""

from __future__ import annotations

import platform
from importlib import metadata

from wsipsm import __version__

PACKAGES = (
    "dask",
    "distributed",
    "llvmlite",
    "numba",
    "numpy",
    "openslide-python",
    "scikit-learn",
    "shapely",
    "torch",
    "zarr",
)
"""Packages whose versions are recorded with a run."""


def versions() -> dict[str, str]:
    """Versions of wsipsm, Python, the platform and the packages that numbers depend on."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"wsipsm": __version__, "python": platform.python_version(), "platform": platform.platform(), **found}

"""Annotation-free cell recognition in whole-slide images with prior self-activation maps.

``wsipsm.run``, ``train``, ``evaluate``, ``classify``, ``index``, ``report``, ``open_result`` and ``open_slide`` do what
the command line does; importing the package alone loads nothing of what they need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsipsm.api import (
        Box,
        Config,
        Event,
        Result,
        Slide,
        Stop,
        StoppedError,
        WsipsmError,
        classify,
        evaluate,
        index,
        load_config,
        open_result,
        open_slide,
        report,
        run,
        sample_field,
        train,
    )

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Config",
    "Event",
    "Result",
    "Slide",
    "Stop",
    "StoppedError",
    "WsipsmError",
    "__version__",
    "classify",
    "evaluate",
    "index",
    "load_config",
    "open_result",
    "open_slide",
    "report",
    "run",
    "sample_field",
    "train",
]


def __getattr__(name: str) -> Any:
    """Public name of :mod:`wsipsm.api`, imported at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'wsipsm' has no attribute {name!r}")
    return getattr(import_module("wsipsm.api"), name)


def __dir__() -> list[str]:
    return __all__

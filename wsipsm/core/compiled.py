"""Functions that are compiled to machine code when they are first called, and kept on disk for later processes.

Numba is imported with this module, so only the functions that run compiled code import what is built on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function of numbers and arrays; floats are rounded as written, at every operation.

    The code is kept in the ``__pycache__`` beside the source, or where that cannot be written in the user's cache
    folder, or in ``NUMBA_CACHE_DIR``. Where none of them can be written, each process compiles for itself.
    """
    try:
        return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
    except RuntimeError:  # no folder for the cache
        return cast(Function, numba.njit(nogil=True, error_model="numpy")(function))

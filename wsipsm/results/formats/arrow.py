"""Columns of Arrow from NumPy arrays and words, without the import of pandas that `pyarrow.array` makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def number_column(values: npt.NDArray[Any]) -> pa.Array:
    """Column of (N,) numbers, which are not copied where they lie one after the other."""
    packed = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(packed.dtype), len(packed), [None, pa.py_buffer(packed)])


def word_column(words: Sequence[str]) -> pa.Array:
    """Column of N words.

    Raises
    ------
    UnicodeEncodeError
        One is not ASCII.
    """
    ends = np.zeros(len(words) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, words), np.int32, len(words)), out=ends[1:])
    text = "".join(words).encode("ascii")
    return pa.Array.from_buffers(pa.string(), len(words), [None, pa.py_buffer(ends), pa.py_buffer(text)])


def numbers_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The (N,) numbers of a column, or as bool whether they are true; as ``to_numpy`` gives them."""
    if column.null_count or not (pa.types.is_primitive(column.type) and column.type.bit_width in (1, 8, 16, 32, 64)):
        return column.to_numpy()
    if pa.types.is_boolean(column.type):
        return numbers_of(column.cast(pa.uint8())).view(bool)
    dtype = np.dtype(column.type.to_pandas_dtype())
    parts = [np.frombuffer(one.buffers()[1], dtype, len(one), one.offset * dtype.itemsize) for one in column.chunks]
    return np.concatenate([np.zeros(0, dtype), *parts])

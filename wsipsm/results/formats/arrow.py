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
    if packed.dtype.kind not in "iuf" or not packed.dtype.isnative:
        return pa.array(packed.tolist(), pa.from_numpy_dtype(packed.dtype.newbyteorder("=")))
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


def values_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The (N,) numbers, truth values or words of a column, as ``to_numpy`` gives them."""
    kind = column.type
    if pa.types.is_boolean(kind) and not column.null_count:
        return values_of(column.cast(pa.uint8())).view(bool)
    known = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_string(kind)
    if column.null_count or not known:
        other: npt.NDArray[Any] = column.to_numpy()
        return other
    parts = [_words(one) if pa.types.is_string(kind) else _numbers(one) for one in column.chunks]
    return np.concatenate([np.zeros(0, kind.to_pandas_dtype()), *parts])


def _numbers(chunk: pa.Array) -> npt.NDArray[Any]:
    dtype = np.dtype(chunk.type.to_pandas_dtype())
    if not len(chunk):  # it may lack its buffer
        return np.zeros(0, dtype)
    found: npt.NDArray[Any] = np.frombuffer(chunk.buffers()[1], dtype, len(chunk), chunk.offset * dtype.itemsize)
    return found


def _words(chunk: pa.Array) -> npt.NDArray[np.object_]:
    """Words of which few are different."""
    coded = chunk.dictionary_encode()
    words: npt.NDArray[np.object_] = np.array(coded.dictionary.to_pylist(), object)[_numbers(coded.indices)]
    return words

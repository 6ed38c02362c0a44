"""Compiled loops over the text of cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.compiled import compiled

_Bytes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float64]
_Longs = npt.NDArray[np.int64]

TEXT, WORD, NUMBER, BLOCK = range(4)
"""Kinds of parts."""

_ZERO, _POINT, _MINUS = 48, 46, 45


@compiled
def text_rows(parts: _Longs, count: int, letters: _Bytes, numbers: _Floats, offsets: _Longs, out: _Bytes) -> int:
    """Write the text of all rows, one after the other; returns its length.

    Parameters
    ----------
    parts : (P, 3) int64
        In their order: kind; where it begins in ``letters``, ``numbers`` or ``offsets``; length of a text, width of a
        word, decimals of a number, or number of parts of a block, which follow it; the last byte of each block, if it
        has any, is left out.
    count : int
        Number of rows.
    letters : (L,) uint8
        Of texts, and of words, one a row; NUL is not written.
    numbers : (M,) float64
        Whole ones, those that are meant times ``10**decimals``.
    offsets : (K,) int64
        Of blocks: row ``i`` has the rows ``offsets[i]:offsets[i + 1]`` of their parts.
    out : (B,) uint8
        Long enough.
    """
    at = 0  # all in one function: handing arrays on takes longer than what is done with them
    for row in range(count):
        number, line, stop, begin, end = 0, row, row, 0, -1
        while number < len(parts):
            kind, first, size = parts[number, 0], parts[number, 1], parts[number, 2]
            number += 1
            if kind == BLOCK:
                line, stop, begin, end = offsets[first + row], offsets[first + row + 1], number, number + size
                if line == stop:
                    number, line, end = end, row, -1
                continue
            if kind == NUMBER:
                at = _number(numbers[first + line], size, out, at)
            else:
                at = _copied(letters, first + line * size * (kind == WORD), size, out, at)
            if number == end:
                line += 1
                number = begin
                if line == stop:
                    number, line, end, at = end, row, -1, at - 1
    return at


@compiled
def _copied(letters: _Bytes, first: int, size: int, out: _Bytes, at: int) -> int:
    """Write some letters, without NULs; returns where they end."""
    for place in range(first, first + size):
        out[at] = letters[place]
        at += letters[place] > 0
    return at


@compiled
def _number(scaled: float, decimals: int, out: _Bytes, at: int) -> int:
    """Write a number without needless zeros at the end; returns where it ends."""
    if np.signbit(scaled):
        out[at] = _MINUS
        at += 1
    rest = np.uint64(abs(scaled))
    if decimals == 0:
        return _digits(rest, _length(rest), out, at)
    scale = np.uint64(10)
    for _ in range(1, decimals):
        scale *= np.uint64(10)
    whole = rest // scale
    rest -= whole * scale
    at = _digits(whole, _length(whole), out, at)
    out[at] = _POINT
    while decimals > 1 and rest % np.uint64(10) == 0:
        rest //= np.uint64(10)
        decimals -= 1
    return _digits(rest, decimals, out, at + 1)


@compiled
def _length(whole: np.uint64) -> int:
    digits, limit = 1, np.uint64(10)
    while whole >= limit:
        digits += 1
        limit *= np.uint64(10)
    return digits


@compiled
def _digits(whole: np.uint64, digits: int, out: _Bytes, at: int) -> int:
    """Write so many digits of a number; returns where they end."""
    for place in range(at + digits - 1, at - 1, -1):
        tens = whole // np.uint64(10)
        out[place] = np.uint8(np.uint64(_ZERO) + whole - tens * np.uint64(10))
        whole = tens
    return at + digits


@compiled
def extents(vertices: _Floats, offsets: _Longs) -> _Floats:
    """Smallest x and y, largest x and y of each of N rings; (N, 4)."""
    found = np.empty((len(offsets) - 1, 4))
    for number in range(len(found)):
        low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
        for at in range(offsets[number], offsets[number + 1]):
            x, y = vertices[at, 0], vertices[at, 1]
            low_x, low_y, high_x, high_y = min(low_x, x), min(low_y, y), max(high_x, x), max(high_y, y)
        found[number, 0], found[number, 1], found[number, 2], found[number, 3] = low_x, low_y, high_x, high_y
    return found

"""Many rows of text at once, written by compiled code.

A part of all rows is a word (an array of small texts of one width, one a row, with NUL where a text is shorter), a text
that is the same in each, numbers, or blocks of any number of small rows; `rows` puts parts side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import OutputError

_LIMIT = 10**15
"""So many digits any float keeps."""

_LONGEST = 19
"""Most bytes of a number: its digits, a zero before the point, the point, a sign, and one to spare."""

Word = npt.NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Whole numbers, (N,) float64: those that are meant times ``10**decimals``."""

    scaled: npt.NDArray[np.float64]
    decimals: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """Parts of V small rows, gathered to N blocks.

    Attributes
    ----------
    offsets : (N + 1,) int64
        Block ``i`` is of the rows ``offsets[i]:offsets[i + 1]``.
    parts : tuple
        Of V rows; the last byte of each block, a comma, is left out.
    """

    offsets: npt.NDArray[np.int64]
    parts: tuple[Word | bytes | Numbers, ...]


Part = Word | bytes | Numbers | Blocks


def numbers(scaled: npt.NDArray[np.floating[Any]], decimals: int = 0) -> Numbers:
    """Numbers that are written as the shortest text that reads as the same float.

    Parameters
    ----------
    scaled : (N,) float64
        Whole numbers: the numbers times ``10**decimals``.
    decimals : int
        0 to 4. With 0 the text has no point, else at least one decimal and no other zero at the end.

    Raises
    ------
    OutputError
        A number is not finite, or has more than 15 digits.

    Examples
    --------
    >>> rows(3, numbers(np.array([-15.0, 0.0, 1234567.0]), 1), b" ")
    b'-1.5 0.0 123456.7 '
    """
    largest = max(scaled.max(initial=0), -scaled.min(initial=0))
    if not largest < _LIMIT:
        raise OutputError(f"a measurement or coordinate is {largest}: expected finite numbers; run the slide again")
    return Numbers(scaled.astype(np.float64, copy=False), decimals)


def text_word(texts: Sequence[str]) -> Word:
    """ASCII texts as a word."""
    return np.array([text.encode("ascii") for text in texts], np.bytes_)


def rows(count: int, *parts: Part) -> bytes:
    """Text of all rows, one after the other."""
    from wsipsm.results.formats.compiled import text_rows  # here, as it imports the compiler

    table = _Table()
    longest = sum(table.add(part, count) for part in parts)
    out = np.empty(longest, np.uint8)
    letters = np.frombuffer(b"".join(table.letters), np.uint8)
    values, offsets = (
        np.concatenate([np.zeros(0), *table.numbers]),
        np.concatenate([np.zeros(0, np.int64), *table.offsets]),
    )
    length = text_rows(np.array(table.parts), count, letters, values, offsets, out)
    return out[:length].tobytes()


@dataclass(slots=True)
class _Table:
    """Parts as `text_rows` takes them."""

    parts: list[tuple[int, int, int]] = field(default_factory=list)
    letters: list[bytes] = field(default_factory=list)
    numbers: list[npt.NDArray[np.float64]] = field(default_factory=list)
    offsets: list[npt.NDArray[np.int64]] = field(default_factory=list)
    _letters: int = 0
    _numbers: int = 0
    _offsets: int = 0

    def add(self, part: Part, count: int) -> int:
        """Add a part of so many rows; returns the most bytes that its text takes."""
        from wsipsm.results.formats.compiled import BLOCK, NUMBER, TEXT, WORD

        if isinstance(part, Blocks):
            self.parts.append((BLOCK, self._offsets, len(part.parts)))
            self.offsets.append(part.offsets)
            self._offsets += len(part.offsets)
            return sum(self.add(inner, int(part.offsets[-1])) for inner in part.parts)
        if isinstance(part, Numbers):
            self.parts.append((NUMBER, self._numbers, part.decimals))
            self.numbers.append(part.scaled)
            self._numbers += len(part.scaled)
            return count * _LONGEST
        raw, width = (part, len(part)) if isinstance(part, bytes) else (part.tobytes(), part.itemsize)
        self.parts.append((TEXT if isinstance(part, bytes) else WORD, self._letters, width))
        self.letters.append(raw)
        self._letters += len(raw)
        return count * width

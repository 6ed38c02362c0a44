"""Many rows of text at once: numbers become ASCII by looking up four digits at a time, without a loop over them.

A word is an array of small texts of one width, one a row, with NUL where a text is shorter. A part of all rows is a
word, a text that is the same in each, or blocks of any length; `rows` puts parts side by side and drops the NULs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import OutputError

_GROUP = 10_000
"""Numbers are cut into groups of four digits."""

_LIMIT = 10**15
"""So many digits any float keeps."""

Word = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Texts of different length, one a row."""

    texts: Sequence[bytes]


Part = Word | bytes | Blocks


def number_words(scaled: npt.NDArray[np.floating[Any]], decimals: int = 0) -> list[Word]:
    """Numbers as words, side by side the shortest text that reads as the same float.

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
    >>> rows(3, *number_words(np.array([-15.0, 0.0, 1234567.0]), 1), b" ")
    b'-1.5 0.0 123456.7 '
    """
    size = np.abs(scaled)
    largest = size.max(initial=0)
    if not largest < _LIMIT:
        raise OutputError(f"a measurement or coordinate is {largest}: expected finite numbers; run the slide again")
    rest = size.astype(np.int64 if largest >= 2**31 else np.int32)
    higher = rest // _GROUP
    words: list[Word] = [_lowest(decimals)[rest - higher * _GROUP + _GROUP * (higher > 0)]]
    first = decimals == 4  # the digit before the point is in the next group
    while first or higher.any():
        rest, higher = higher, higher // _GROUP
        words.append(_higher(first)[rest - higher * _GROUP + _GROUP * (higher > 0)])
        first = False
    negative = np.signbit(scaled)
    if negative.any():
        words.append(negative.astype(np.uint8) * np.uint8(ord("-")))
    return words[::-1]


def text_word(texts: Sequence[str]) -> Word:
    """ASCII texts as a word."""
    return np.array([text.encode("ascii") for text in texts], np.bytes_)


def blocks(offsets: npt.NDArray[np.int64], *parts: Word | bytes) -> Blocks:
    """Parts of V small rows, gathered to N blocks; the last byte of each block, a comma, is left out.

    Parameters
    ----------
    offsets : (N + 1,) int64
        Block ``i`` is of the rows ``offsets[i]:offsets[i + 1]``.
    *parts
        Of V rows; the last one is a text.
    """
    table = _records(int(offsets[-1]), parts)
    raw, side = table.tobytes(), table.itemsize
    starts, stops = (offsets[:-1] * side).tolist(), (offsets[1:] * side - 1).tolist()
    return Blocks([raw[start:stop] for start, stop in zip(starts, stops, strict=True)])


def rows(count: int, *parts: Part) -> bytes:
    """Text of all rows, one after the other."""
    columns: list[Sequence[bytes]] = []
    for ragged, group in groupby(parts, lambda part: isinstance(part, Blocks)):
        if ragged:
            columns += [part.texts for part in group if isinstance(part, Blocks)]
        else:
            table = _records(count, [part for part in group if not isinstance(part, Blocks)])
            raw, side = table.tobytes(), table.itemsize
            columns.append([raw[start : start + side] for start in range(0, count * side, side)])
    return b"".join(chain.from_iterable(zip(*columns, strict=True))).translate(None, b"\0")


def _records(count: int, parts: Sequence[Word | bytes]) -> npt.NDArray[np.void]:
    kinds = [(str(i), f"S{len(part)}" if isinstance(part, bytes) else part.dtype) for i, part in enumerate(parts)]
    table = np.empty(count, np.dtype(kinds))
    for (name, _), part in zip(kinds, parts, strict=True):
        table[name] = part
    return table


@cache
def _lowest(decimals: int) -> Word:
    """The last four digits with the point in them; from ``_GROUP`` on: with digits before them."""

    def text(group: int, padded: bool) -> bytes:
        digits = f"{group:04d}"
        whole, fraction = digits[: 4 - decimals], digits[4 - decimals :].rstrip("0")
        whole = whole if padded else whole.lstrip("0") or "0" * (decimals < 4)
        return f"{whole}.{fraction or '0'}".encode() if decimals else whole.encode()

    return _table([text(group, padded) for padded in (False, True) for group in range(_GROUP)], np.uint64)


@cache
def _higher(first: bool) -> Word:
    """Four digits, ``first``: of which at least one is written; from ``_GROUP`` on: with digits before them."""
    bare = [b"%d" % group if group or first else b"" for group in range(_GROUP)]
    return _table(bare + [b"%04d" % group for group in range(_GROUP)], np.uint32)


def _table(texts: Sequence[bytes], kind: Any) -> Word:
    return np.array(texts, f"S{np.dtype(kind).itemsize}").view(kind)

"""Features of a GeoJSON file of any size as byte strings, one at a time, and what is wrong with what is around them."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from wsipsm.core.errors import OutputError

CHUNK = 1 << 20
"""Bytes that are read at a time."""
LONGEST_TAIL = 1 << 20
"""Bytes behind the features that are looked at."""
LONGEST_GUESS = 1 << 16
"""Bytes of a feature whose end is guessed first."""

_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
# A lone quotation mark begins a string that does not end in the bytes read so far.
_BRACES = re.compile(_STRING + rb'|[{}"]', re.DOTALL)
_NESTING = re.compile(rb'("features"\s*:\s*\[)|' + _STRING + rb'|[][{}"]', re.DOTALL)
_FOLLOWS = re.compile(rb'\s*,\s*\{\s*"[^"\\]*"\s*:')
_SPACE = re.compile(rb"[ \t\r\n]*")


class Piece(NamedTuple):
    """A feature of a file.

    Attributes
    ----------
    text : bytes
        As it stands there.
    content : dict or None
        What was parsed of it; None: it was not parsed yet.
    """

    text: bytes
    content: dict[str, Any] | None


class FeatureStream:
    """Iterator over the features of a file, each a `Piece`.

    Parameters
    ----------
    path : Path
        GeoJSON, gzipped or not: a FeatureCollection, a list, a single feature, or one feature a line.

    Attributes
    ----------
    gzipped : bool
        Whether the content is gzip.
    problems : list of (str, str)
        After the iteration: keys of rules of the file that it breaks, each with a detail.

    Raises
    ------
    OutputError
        The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.problems: list[tuple[str, str]] = []
        self._path = path
        try:
            with path.open("rb") as file:
                self.gzipped = file.read(2) == b"\x1f\x8b"
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror}") from None

    def __iter__(self) -> Iterator[Piece]:
        with self._path.open("rb") as stored:
            buffer = _Buffer(gzip.GzipFile(fileobj=stored) if self.gzipped else stored)
            yield from self._features(buffer)
        if buffer.damage:
            self._says("truncated", buffer.damage)

    def _says(self, key: str, detail: str = "") -> None:
        self.problems.append((key, detail))

    def _features(self, buffer: _Buffer) -> Iterator[Piece]:
        if buffer.next() == b"\xef" and buffer.peek(3) == b"\xef\xbb\xbf":
            buffer.take(3)
        first = buffer.next()
        if first == b"[":
            buffer.take(1)
            self._says("bare_list")
            yield from self._items(buffer)
            self._end(b"[", buffer)
        elif first == b"{" and (head := _before_features(buffer)) is not None:
            yield from self._items(buffer)
            self._end(head, buffer)
        elif first == b"{":
            yield from self._objects(buffer)
        else:
            self._says("not_json", _shown(buffer))

    def _items(self, buffer: _Buffer) -> Iterator[Piece]:
        """Objects of a list whose bracket was taken; its closing bracket is left."""
        if buffer.next() == b"]":
            return
        mark = b""
        while True:
            if buffer.next() != b"{":
                self._says("truncated" if not buffer.next() else "not_a_feature", _shown(buffer))
                return
            yield from _guessed(buffer, mark)
            piece = Piece(_whole_object(buffer), None)
            if not piece.text:
                self._says("truncated")
                return
            follows = _FOLLOWS.match(buffer.peek(80))
            mark = piece.text[-2:] + follows[0] if follows else mark
            yield piece
            if not self._another(buffer):
                return

    def _another(self, buffer: _Buffer) -> bool:
        """Whether another feature follows; its comma is taken."""
        after = buffer.next()
        if after == b",":
            buffer.take(1)
            if buffer.next() != b"]":
                return True
            self._says("trailing_comma")
        elif after == b"{":
            self._says("not_json", "no comma between two features")
            return True
        elif after != b"]":
            self._says("not_json" if after else "truncated", _shown(buffer))
        return False

    def _end(self, head: bytes, buffer: _Buffer) -> None:
        """Look at what is around the features: ``head`` up to their bracket, and the rest of the file."""
        if {key for key, _ in self.problems} & {"truncated", "not_a_feature", "not_json"}:
            return
        try:
            envelope = orjson.loads(head + buffer.rest(LONGEST_TAIL))
        except orjson.JSONDecodeError as error:
            self._says("not_json", f"around the features: {error}")
            return
        if isinstance(envelope, dict) and envelope.get("type") != "FeatureCollection":
            self._says("not_a_collection", f"type {envelope.get('type')!r}")

    def _objects(self, buffer: _Buffer) -> Iterator[Piece]:
        """Objects one after another, without a list around them."""
        count = 0
        while buffer.next() == b"{":
            if not (raw := _whole_object(buffer)):
                self._says("truncated")
                return
            count += 1
            yield Piece(raw, None)
        if buffer.next():
            self._says("not_json", _shown(buffer))
        self._says("newline_delimited" if count > 1 else "bare_feature")


class _Buffer:
    """Bytes of a file from ``at`` on, as far as they were read."""

    def __init__(self, file: BufferedReader | gzip.GzipFile) -> None:
        self.data, self.at, self.damage = b"", 0, ""
        self._file = file

    def more(self) -> bool:
        """Read on; False at the end of the file, or of what is undamaged of it."""
        # As much as is unfinished, at least: a feature of any length is scanned a bounded number of times.
        wanted, parts, size = max(CHUNK, len(self.data) - self.at), [self.data[self.at :]], 0
        try:
            while size < wanted and (part := self._file.read1(wanted - size)):  # what was read before damage counts
                parts.append(part)
                size += len(part)
        except (EOFError, zlib.error, OSError) as error:
            self.damage = f"damaged gzip file: {error}"
        self.data, self.at = b"".join(parts), 0
        return size > 0

    def peek(self, count: int) -> bytes:
        """At most so many bytes."""
        return self.data[self.at : self.at + count]

    def take(self, count: int) -> bytes:
        """As `peek`, and go behind them."""
        taken = self.peek(count)
        self.at += len(taken)
        return taken

    def next(self) -> bytes:
        """First byte behind white space; nothing at the end of the file."""
        while True:
            match = _SPACE.match(self.data, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.data) or not self.more():
                return self.peek(1)

    def rest(self, limit: int) -> bytes:
        """All that is left, at most ``limit`` bytes."""
        while len(self.data) - self.at < limit and self.more():
            pass
        return self.take(limit)


def _guessed(buffer: _Buffer, mark: bytes) -> Iterator[Piece]:
    """Features from the buffer's first byte on, while each ends two bytes into ``mark`` and another begins in it.

    What parses as an object is the whole of one: no part of an object, and nothing longer, is an object too. Those that
    are given are taken; the buffer stays at the first byte of a feature.
    """
    brace = mark.find(b"{", 2)
    while mark and (found := buffer.data.find(mark, buffer.at, buffer.at + LONGEST_GUESS)) >= 0:
        text = buffer.data[buffer.at : found + 2]
        try:
            content = orjson.loads(text)
        except orjson.JSONDecodeError:
            return
        buffer.at = found + brace
        yield Piece(text, content)


def _whole_object(buffer: _Buffer) -> bytes:
    """Object that begins at the buffer's first byte; nothing if the file ends before it does."""
    while True:
        depth = 0
        for match in _BRACES.finditer(buffer.data, buffer.at):
            token = match[0]
            if token == b"{":
                depth += 1
            elif token == b"}":
                depth -= 1
                if depth == 0:
                    return buffer.take(match.end() - buffer.at)
            elif token == b'"':
                break
        if not buffer.more():
            return b""


def _before_features(buffer: _Buffer) -> bytes | None:
    """Beginning of an object up to the bracket of its list ``features``; None, and nothing taken, if it has none."""
    while True:
        depth, waits = 0, True
        for match in _NESTING.finditer(buffer.data, buffer.at):
            token = match[0]
            if match[1] and depth == 1:
                return buffer.take(match.end() - buffer.at)
            if (token == b'"features"' and buffer.data[match.end() :].strip() in {b"", b":"}) or token == b'"':
                break
            depth += (token in b"{[") - (token in b"]}") + bool(match[1])
            if depth == 0:
                waits = False
                break
        if not waits or not buffer.more():
            return None


def _shown(buffer: _Buffer) -> str:
    return buffer.peek(24).decode("utf-8", "replace") or "the file ends"

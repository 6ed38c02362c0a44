"""Instructions on vectors that Numba has no words for, as sums of products that stay in registers, written for LLVM.

Compiled code calls them with a tuple of whole numbers: addresses, counts, and strides in bytes. Machine code on disk
belongs to the file that calls them: it does not see a change here before that file changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_HOST: dict[str, bool] = {}
with contextlib.suppress(RuntimeError):  # LLVM does not know the features of every CPU
    _HOST |= binding.get_host_cpu_features()
LANES, GROUP = (16, 8) if _HOST.get("avx512f") else (8, 4) if _HOST.get("avx2") else (4, 4)
"""Floats of a vector, and output channels whose sums stay in registers together."""

_FLOAT, _WORD, _INDEX = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_TWO_ROWS = ((1, 1, 1, 0), (0, 1, -1, -1))


class _Code:
    """Instructions on vectors; addresses are whole numbers, offsets and strides are bytes."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        name = f"llvm.fmuladd.v{LANES}f32"
        self._product = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), name)

    def word(self, value: int) -> Any:
        return ir.Constant(_WORD, value)

    def constant(self, value: float) -> Any:
        return ir.Constant(_VECTOR, [float(value)] * LANES)

    def pointer(self, address: Any, offset: int, kind: Any) -> Any:
        return self.builder.inttoptr(self.builder.add(address, self.word(offset)), kind.as_pointer())

    def vector(self, address: Any, offset: int = 0) -> Any:
        return self.builder.load(self.pointer(address, offset, _VECTOR), align=4)

    def number(self, address: Any, offset: int) -> Any:
        """A number in all lanes."""
        one = self.builder.load(self.pointer(address, offset, _FLOAT))
        first = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), one, ir.Constant(_INDEX, 0))
        return self.shuffled(first, first, [0] * LANES)

    def put(self, vector: Any, address: Any, offset: int = 0) -> None:
        self.builder.store(vector, self.pointer(address, offset, _VECTOR), align=4)

    def shuffled(self, one: Any, other: Any, lanes: Sequence[int]) -> Any:
        return self.builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INDEX, len(lanes)), list(lanes)))

    def plus(self, summed: Any, vector: Any, factor: Any) -> Any:
        """The sum and a product, rounded once where the CPU can."""
        return self.builder.call(self._product, [vector, factor, summed])

    def greater(self, one: Any, other: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered(">", one, other), one, other)

    def signed_sum(self, total: Any, vectors: Sequence[Any], signs: Sequence[int]) -> Any:
        for sign, vector in zip(signs, vectors, strict=True):
            total = self.builder.fadd(total, vector) if sign > 0 else total
            total = self.builder.fsub(total, vector) if sign < 0 else total
        return total

    def moved(self, address: Any, index: Any, stride: Any) -> Any:
        return self.builder.add(address, self.builder.mul(index, stride))


def _products(vectors: int, taps: int, rows: Sequence[Sequence[int]], *, relu: bool) -> Any:
    """Instructions for sums of products of so many vectors of `GROUP` channels, with signs for the rows made of them.

    They get the address of the first line that is read, at its first tap; bytes to the next summand and to the next
    line; the count of lines; the addresses of weights, biases and of what is written; bytes to its next row and line;
    and the address of room for sums.
    """
    per_line, size = 4 * taps * GROUP, 4 * LANES

    def build(builder: Any, *numbers: Any) -> None:
        source, summand, line, lines, weights, biases, to, to_row, to_line, room = numbers
        code = _Code(builder)
        sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(GROUP * vectors)]
        with cgutils.for_range(builder, code.word(len(rows[0]))) as part:
            for total in sums:
                builder.store(code.constant(0), total)
            own = code.moved(weights, part.index, builder.mul(lines, code.word(per_line)))
            with cgutils.for_range(builder, lines) as each:
                at = code.moved(code.moved(source, part.index, summand), each.index, line)
                weight = code.moved(own, each.index, code.word(per_line))
                for tap in range(taps):
                    _multiplied(code, sums, [code.vector(at, 4 * tap + size * v) for v in range(vectors)], weight)
                    weight = builder.add(weight, code.word(4 * GROUP))
            kept = code.moved(room, part.index, code.word(size * len(sums)))
            for number, total in enumerate(sums):
                code.put(builder.load(total), kept, size * number)
        for number in range(len(sums)):
            channel, v = divmod(number, vectors)
            found = [code.vector(room, size * (len(sums) * part + number)) for part in range(len(rows[0]))]
            for row, signs in enumerate(rows):
                total = code.signed_sum(code.number(biases, 4 * channel), found, signs)
                line_to = code.moved(code.moved(to, code.word(channel), to_line), code.word(row), to_row)
                code.put(code.greater(total, code.constant(0)) if relu else total, line_to, size * v)

    return _instructions(10, build)


def _multiplied(code: _Code, sums: Sequence[Any], read: Sequence[Any], weight: Any) -> None:
    """Add vectors times the weights of each channel to its sums."""
    for channel in range(GROUP):
        factor = code.number(weight, 4 * channel)
        for v, vector in enumerate(read):
            total = sums[channel * len(read) + v]
            code.builder.store(code.plus(code.builder.load(total), vector, factor), total)


def _instructions(count: int, build: Any) -> Any:
    """What compiled code calls with a tuple of so many whole numbers to have these instructions."""

    def built(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        build(builder, *cgutils.unpack_tuple(builder, arguments[0], count))
        return context.get_dummy_value()

    @intrinsic  # type: ignore[untyped-decorator]
    def instructions(context: Any, numbers: Any) -> Any:
        return types.void(types.UniTuple(types.intp, count)), built

    return instructions


def _differences(builder: Any, *numbers: Any) -> None:
    """The four sums of so many vectors of four lines, written so many bytes apart."""
    *lines, to, apart, count = numbers
    code = _Code(builder)
    with cgutils.for_range(builder, count) as each:
        one, two, three, four = (code.vector(code.moved(line, each.index, code.word(4 * LANES))) for line in lines)
        at = code.moved(to, each.index, code.word(4 * LANES))
        sums = (builder.fsub(one, three), builder.fadd(two, three), builder.fsub(three, two), builder.fsub(two, four))
        for number, total in enumerate(sums):
            code.put(total, code.moved(at, code.word(number), apart))


def _maxima(builder: Any, upper: Any, lower: Any, to: Any, count: Any) -> None:
    """Maxima of 2 x 2 pixels of two lines, as so many vectors."""
    code = _Code(builder)
    with cgutils.for_range(builder, count) as each:
        first, second = (code.moved(line, each.index, code.word(8 * LANES)) for line in (upper, lower))
        left, right = (code.greater(code.vector(first, at), code.vector(second, at)) for at in (0, 4 * LANES))
        even, odd = (code.shuffled(left, right, range(start, 2 * LANES, 2)) for start in (0, 1))
        code.put(code.greater(even, odd), code.moved(to, each.index, code.word(4 * LANES)))


def _doubled(builder: Any, *numbers: Any) -> None:
    """Add lines to others that have twice their pixels: a quarter of the way between two, and interpolated.

    They get the address of the first line of one row, of another row, of those that are added to, and of what is
    written; bytes to the next line of each kind, the count of lines, and of vectors of the first kind. All
    interpolation is bilinear, as pixels are areas.
    """
    near, far, onto, to, line, line_onto, line_to, lines, count = numbers
    code = _Code(builder)

    def weighed(one: Any, other: Any) -> Any:
        return code.plus(builder.fmul(one, code.constant(0.75)), other, code.constant(0.25))

    with cgutils.for_range(builder, lines) as each_line, cgutils.for_range(builder, count) as each:
        low = [code.moved(code.moved(a, each_line.index, line), each.index, code.word(4 * LANES)) for a in (near, far)]
        double = code.moved(code.moved(onto, each_line.index, line_onto), each.index, code.word(8 * LANES))
        there = code.moved(code.moved(to, each_line.index, line_to), each.index, code.word(8 * LANES))
        before, here, behind = (weighed(*(code.vector(a, offset) for a in low)) for offset in (-4, 0, 4))
        even, odd = weighed(here, before), weighed(here, behind)
        mixed = [number // 2 + LANES * (number % 2) for number in range(2 * LANES)]
        for half, lanes in enumerate((mixed[:LANES], mixed[LANES:])):
            offset = 4 * LANES * half
            code.put(builder.fadd(code.vector(double, offset), code.shuffled(even, odd, lanes)), there, offset)


def _bordered(builder: Any, to: Any, line: Any, lines: Any, before: Any, end: Any) -> None:
    """Zeros in so many lines: as many vectors as there are before the pixels, and from where they end on.

    A line is at least a vector longer than that.
    """
    code = _Code(builder)
    zeros, size = code.constant(0), code.word(4 * LANES)
    behind = builder.udiv(builder.sub(line, end), size)
    with cgutils.for_range(builder, lines) as each:
        start = code.moved(to, each.index, line)
        for first, count in ((start, before), (builder.add(start, end), behind)):
            with cgutils.for_range(builder, count) as vector:
                code.put(zeros, code.moved(first, vector.index, size))
        code.put(zeros, builder.add(start, line), -4 * LANES)


two_rows, last_of_two_rows = (_products(vectors, 3, _TWO_ROWS, relu=True) for vectors in (2, 1))
"""Two rows of a 3 x 3 convolution and its ReLU, from sums of rows: two vectors of a line, and one."""
mixed = _products(1, 1, ((1,),), relu=False)
"""A vector of a 1 x 1 convolution."""
differences = _instructions(7, _differences)
maxima = _instructions(4, _maxima)
doubled = _instructions(9, _doubled)
bordered = _instructions(5, _bordered)

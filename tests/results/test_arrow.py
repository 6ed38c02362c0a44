"""Columns of Arrow against those that pyarrow makes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from wsipsm.results.formats.arrow import number_column, values_of, word_column


@pytest.mark.parametrize("dtype", ["u1", "i8", "f4", "f8", ">f4", ">i8", "?"])
def test_numbers_are_those_of_pyarrow(dtype: str) -> None:
    values = (np.arange(24) % 5).reshape(8, 3).astype(dtype)

    for some in (values[:, 1], values[2], values[:0, 0]):
        assert number_column(some).equals(pa.array(some.astype(some.dtype.newbyteorder("="))))


@pytest.mark.parametrize("words", [[], ["a"], ["Positive", "", "Negative"]])
def test_words_are_those_of_pyarrow(words: list[str]) -> None:
    column = word_column(words)

    assert column.equals(pa.array(words, pa.string()))
    column.validate(full=True)


def test_a_word_that_is_not_ascii_is_an_error() -> None:
    with pytest.raises(UnicodeEncodeError):
        word_column(["µm"])


@pytest.mark.parametrize("kind", [pa.uint8(), pa.int32(), pa.float32(), pa.float64(), pa.bool_(), pa.string()])
def test_values_come_back_as_pyarrow_gives_them(kind: pa.DataType) -> None:
    whole = pa.array([1, 0, 3, 4, 0, 7], pa.int64()).cast(kind)
    for chunks in ([], [whole], [whole.slice(1, 3), whole[:0], whole.slice(4)], [whole, pa.nulls(2, kind)]):
        column = pa.chunked_array(chunks, kind)
        expected = column.to_numpy()

        found = values_of(column)

        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_an_empty_column_may_lack_its_buffer() -> None:
    column = pa.chunked_array([pa.Array.from_buffers(pa.int64(), 0, [None, None])])

    assert values_of(column).tolist() == []

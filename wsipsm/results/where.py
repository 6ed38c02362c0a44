"""Conditions on the columns of a cell table, written as text: ``area_um2 > 20 and class != "Doubtful"``."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wsipsm.core.errors import ConfigError

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<text>"[^"]*"|'[^']*')"""
    r"""|(?P<word>[A-Za-z_]\w*)|(?P<op><=|>=|==|!=|<>|<|>|=)|(?P<paren>[()]))"""
)
_COMPARE = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "=": "equal",
    "!=": "not_equal",
    "<>": "not_equal",
}
DEEPEST = 50
"""Parentheses and ``not`` that may stand within each other."""


def parse_where(text: str, schema: pa.Schema) -> pc.Expression:
    """Condition as an expression of pyarrow.

    Comparisons of a column (``<``, ``<=``, ``>``, ``>=``, ``==``, ``!=``) with a number or a quoted text, joined by
    ``and``, ``or``, ``not`` and parentheses. Nothing is evaluated as Python.

    Parameters
    ----------
    text : str
        The condition.
    schema : pyarrow.Schema
        Columns of the table.

    Raises
    ------
    ConfigError
        It cannot be read, names an unknown column, or compares text with a number; the known columns are named.

    Examples
    --------
    >>> schema = pa.schema([("area_um2", pa.float32()), ("class", pa.string())])
    >>> table = pa.table({"area_um2": [10.0, 30.0], "class": ["Positive", "Negative"]}, schema=schema)
    >>> table.filter(parse_where("area_um2 > 20 or class == 'Positive' and not area_um2 < 5", schema)).num_rows
    2
    """
    return _Parser(text, schema).parse()


class _Parser:
    def __init__(self, text: str, schema: pa.Schema) -> None:
        self._text = text
        self._kinds = {field.name: field.type for field in schema if _is_plain(field.type)}
        self._tokens = self._split()
        self._at = self._depth = 0

    def parse(self) -> pc.Expression:
        found = self._any_of()
        if self._peek() != ("end", ""):
            raise self._error("expected 'and', 'or' or the end")
        return found

    def _split(self) -> list[tuple[str, str]]:
        tokens, at, text = [], 0, self._text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._error(f"{text[at:].lstrip()[:12]!r} cannot be read")
            tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()
        return [*tokens, ("end", "")]

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at += token[0] != "end"
        return token

    def _takes(self, word: str) -> bool:
        found = self._peek()[0] in ("word", "paren") and self._peek()[1].lower() == word
        self._at += found
        return found

    def _any_of(self) -> pc.Expression:
        found = self._all_of()
        while self._takes("or"):
            found = found | self._all_of()
        return found

    def _all_of(self) -> pc.Expression:
        found = self._one()
        while self._takes("and"):
            found = found & self._one()
        return found

    def _one(self) -> pc.Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error("too deeply nested")
        if self._takes("not"):
            found = ~self._one()
        elif self._takes("("):
            found = self._any_of()
            if not self._takes(")"):
                raise self._error("expected ')'")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> pc.Expression:
        kind, name = self._take()
        if kind != "word":
            raise self._error("expected a column" + (f", got {name!r}" if name else ""))
        if name not in self._kinds:
            raise self._error(f"no column {name!r}")
        kind, operator = self._take()
        if kind != "op":
            raise self._error(f"expected a comparison after {name}, for example {name} > 20")
        value = self._value(name)
        return getattr(pc, _COMPARE[operator])(pc.field(name), pc.scalar(value))

    def _value(self, name: str) -> Any:
        kind, text = self._take()
        is_text = pa.types.is_string(self._kinds[name])
        if is_text and kind == "text":
            return text[1:-1]
        if not is_text and kind == "number":
            return float(text)
        expected = 'a quoted text, for example "Positive"' if is_text else "a number"
        raise self._error(f"{name} is compared with {text or 'nothing'}, expected {expected}")

    def _error(self, found: str) -> ConfigError:
        return ConfigError(f"condition {self._text!r}: {found}; known columns: {', '.join(self._kinds)}")


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_string(kind))

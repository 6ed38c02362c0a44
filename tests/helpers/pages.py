"""Pages as a browser takes them: tables below their headings, text, and what elements refer to."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Content of an HTML file.

    Attributes
    ----------
    tables : dict of str to list of list of str
        Rows of the tables below each heading, one after the other.
    elements : list of (str, dict)
        Name and attributes of every element, in order.
    text : str
        All that is read.
    open : list of str
        Elements that are not closed where that is needed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text, self._heading, self.open = "", "", list[str]()
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)
        if tag in {"h1", "h2"}:
            self._heading = ""
        elif tag == "tr":
            self.tables.setdefault(self._heading, []).append([])
        elif tag in {"td", "th"}:
            self.tables[self._heading][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            return
        self.text += data
        if set(self.open) & {"h1", "h2"}:
            self._heading += data
        elif set(self.open) & {"td", "th"}:
            self.tables[self._heading][-1][-1] += data

    def row(self, heading: str, name: str) -> list[str]:
        """Cells of the row of a table that begins with a name, without it."""
        (found,) = [row[1:] for row in self.tables[heading] if row[0] == name]
        return found

    def references(self) -> list[str]:
        """All addresses in attributes and in styles."""
        named = [
            value for _, attrs in self.elements for name, value in attrs.items() if name in {"src", "href", "data"}
        ]
        styled = [value for _, attrs in self.elements for value in re.findall(r"url\((.*?)\)", attrs.get("style", ""))]
        return named + styled


def number(text: str) -> float:
    """Number at the beginning of a text."""
    return float(text.replace(",", "").split()[0].rstrip("%"))

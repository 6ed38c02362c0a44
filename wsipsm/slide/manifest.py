"""Manifests: tables, CSV or Parquet, with a row for each slide; every row is checked before anything starts."""

from __future__ import annotations

import csv
import difflib
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wsipsm.core.errors import InputError, OutputError, WsipsmError
from wsipsm.slide.annotations import read_regions

COLUMNS = ("slide", "mpp", "roi", "config", "id", "out")
SUFFIXES = (".csv", ".parquet")
SHOWN_ROWS = 20
"""Bad entries that a message names; of the others it says how many."""

_ID = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*")


@dataclass(frozen=True, slots=True)
class Row:
    """One slide of a manifest.

    Attributes
    ----------
    slide : Path
        The slide; relative ones lie beside the manifest.
    mpp : float or None
        Micrometres per level-0 pixel, instead of what the file says.
    roi : Path or None
        GeoJSON polygons in which cells are sought; relative as ``slide``.
    config : str or None
        A packaged configuration's name, or a YAML file; relative as ``slide``.
    id : str or None
        Name of the slide's folder of results, instead of the file's stem.
    out : Path or None
        Folder that the slide's folder is made in; relative to the run's output folder.
    refused : str
        Why the slide cannot be used, where that is known before it is opened; else empty.
    """

    slide: Path
    mpp: float | None = None
    roi: Path | None = None
    config: str | None = None
    id: str | None = None
    out: Path | None = None
    refused: str = ""


def is_manifest(path: str | Path) -> bool:
    """Whether a path names a manifest, by its suffix."""
    return Path(path).suffix.lower() in SUFFIXES and Path(path).is_file()


def read_manifest(
    path: Path, check_config: Callable[[str], object] | None = None, *, out: Path | None = None
) -> list[Row]:
    """Rows of a manifest.

    Parameters
    ----------
    path : Path
        ``.csv`` (UTF-8, with a header) or ``.parquet``, with a column ``slide`` and, optionally, ``mpp``, ``roi``,
        ``config``, ``id`` and ``out``.
    check_config : callable, optional
        Checks a value of column ``config``; raises a `WsipsmError` if it is wrong.
    out : Path, optional
        The run's output folder, for the check of column ``out``.

    Raises
    ------
    InputError
        The file cannot be read, has no column ``slide``, a misspelt column or no row; or entries are bad: each is named
        with its line (of a Parquet table: its row, counted from 1).
    """
    lines = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    if not lines:
        raise InputError(f"{path}: the manifest has no row, expected one a slide")
    checker = _Checker(path.parent, check_config, out)
    rows = [checker.row(line, cells) for line, cells in lines]
    checker.check_folders([(line, row) for (line, _), row in zip(lines, rows, strict=True)])
    if checker.bad:
        shown = "; ".join(f"{where}: {why}" for where, why in sorted(checker.bad)[:SHOWN_ROWS])
        more = f"; and {len(checker.bad) - SHOWN_ROWS} more" if len(checker.bad) > SHOWN_ROWS else ""
        word = "row" if path.suffix.lower() == ".parquet" else "line"
        raise InputError(f"{path}: {len(checker.bad)} bad entries, nothing was started, by {word} {shown}{more}")
    return rows


class _Checker:
    """Makes rows of the cells of a manifest, and collects what is wrong with them in ``bad``."""

    def __init__(self, folder: Path, check_config: Callable[[str], object] | None, out: Path | None) -> None:
        self._folder, self._out = folder, out
        self._check_config = check_config
        self._wrong: dict[tuple[str, str], str] = {}
        self.bad: list[tuple[int, str]] = []

    def row(self, line: int, cells: dict[str, str]) -> Row:
        """Row of the cells of a line."""
        slide = self._file(line, "slide", cells)
        if slide is None:
            self.bad.append((line, "slide is empty"))
        return Row(
            slide or Path(),
            self._mpp(line, cells.get("mpp", "")),
            self._roi(line, cells),
            self._config(line, cells.get("config", "")),
            self._id(line, cells.get("id", "")),
            self._out_folder(line, cells.get("out", "")),
        )

    def check_folders(self, rows: Sequence[tuple[int, Row]]) -> None:
        """Check that no two rows write into the same folder."""
        places = Counter((row.out, row.id) for _, row in rows if row.id)
        self.bad += [
            (line, f"id {row.id!r} stands in {places[row.out, row.id]} rows")
            for line, row in rows
            if row.id and places[row.out, row.id] > 1
        ]
        slides = Counter((row.slide, row.out) for _, row in rows if row.id is None)
        self.bad += [
            (line, f"{row.slide.name} stands in {slides[row.slide, row.out]} rows without an id of its own")
            for line, row in rows
            if row.id is None and slides[row.slide, row.out] > 1 and row.slide != Path()
        ]

    def _file(self, line: int, column: str, cells: dict[str, str]) -> Path | None:
        text = cells.get(column, "")
        if not text:
            return None
        path = self._folder / text
        if not path.exists():
            self.bad.append((line, f"{column} {text}: no such file"))
        return path

    def _mpp(self, line: int, text: str) -> float | None:
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0.05 <= value <= 20:
            self.bad.append((line, f"mpp {text!r}: expected micrometres per pixel from 0.05 to 20, for example 0.25"))
            return None
        return value

    def _config(self, line: int, text: str) -> str | None:
        if not text:
            return None
        named = str(self._folder / text) if (self._folder / text).is_file() else text
        if (check := self._check_config) is not None:
            self._check_once(line, "config", text, lambda: check(named))
        return named

    def _roi(self, line: int, cells: dict[str, str]) -> Path | None:
        path = self._file(line, "roi", cells)
        if path is not None and path.exists():
            self._check_once(line, "roi", cells["roi"], lambda: read_regions(path))
        return path

    def _out_folder(self, line: int, text: str) -> Path | None:
        if not text:
            return None
        if self._out is not None:
            folder = self._out.absolute() / text
            self._check_once(line, "out", text, lambda: _refuse_unwritable(folder))
        return Path(text)

    def _check_once(self, line: int, column: str, text: str, check: Callable[[], object]) -> None:
        """Check a value once, however many rows have it, and record an error for each of them."""
        if (column, text) not in self._wrong:
            try:
                check()
                self._wrong[column, text] = ""
            except WsipsmError as error:
                self._wrong[column, text] = " ".join(str(error).split())
        if wrong := self._wrong[column, text]:
            self.bad.append((line, f"{column} {text}: {wrong}"))

    def _id(self, line: int, text: str) -> str | None:
        if text and not _ID.fullmatch(text):
            self.bad.append((line, f"id {text!r}: expected the name of a folder, without / and not hidden"))
        return text or None


def _refuse_unwritable(folder: Path) -> None:
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        raise OutputError(f"{nearest} is a file, expected a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise OutputError(f"{nearest} cannot be written (permission denied)")


def _read_csv(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            _check_columns(path, list(reader.fieldnames or []))
            lines, bad = [], []
            for row in reader:
                if row.pop(None, None):  # key of the cells beyond the last column
                    bad.append(reader.line_num)
                if any(value.strip() for value in row.values()):
                    lines.append((reader.line_num, {name.strip(): value.strip() for name, value in row.items()}))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a manifest: {error}") from None
    if bad:
        raise InputError(f"{path}: more cells than columns in line {', '.join(map(str, bad[:SHOWN_ROWS]))}")
    return lines


def _read_parquet(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as a Parquet table: {' '.join(str(error).split())}") from None
    _check_columns(path, list(rows[0]) if rows else ["slide"])
    return [(number, {name: _text(value) for name, value in row.items()}) for number, row in enumerate(rows, start=1)]


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()


def _check_columns(path: Path, columns: list[str]) -> None:
    names = [name.strip() for name in columns]
    if "slide" not in names:
        raise InputError(f"{path}: columns {', '.join(names) or 'none'}, expected slide and, optionally, mpp, roi, ...")
    if twice := [name for name, count in Counter(names).items() if count > 1 and name in COLUMNS]:
        raise InputError(f"{path}: column {twice[0]} stands there more than once")
    for name in names:  # other columns are ignored, but nearly the name of one of ours is a slip
        near = difflib.get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.8)
        if name not in COLUMNS and near:
            raise InputError(f"{path}: column {name!r}: write {near[0]}, or another name if it means something else")

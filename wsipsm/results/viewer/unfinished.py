"""One slide without results yet, as the page asks for it: its picture, and no cell."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.core.errors import InputError
from wsipsm.results.viewer.cell_table import NO_CLASS
from wsipsm.results.viewer.picture import Picture, place_of
from wsipsm.results.viewer.tiles import TILE_PX, level_count
from wsipsm.slide import open_slide

UNFINISHED = "unfinished"
"""Stands for the version of results that are not there; the page knows it too."""


class NoCells:
    """Columns of a slide without cells: of the background alone, whose label is 0."""

    def column(self, name: str) -> bytes:
        """As `CellTable.column`."""
        return bytes([NO_CLASS]) if name == "class" else np.full(1, np.nan, "<f4").tobytes()

    def cell(self, label: int) -> NoReturn:
        """Refuse, as `CellTable.cell` does.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(f"no cell has the label {label}: the slide has no results yet")


class UnfinishedView:
    """Picture and facts of a slide that waits for its turn, or is still being processed; otherwise as `SlideView`.

    Parameters
    ----------
    slide_id : str
        Name of its output folder.
    path : Path
        The slide's file.
    slide_folders : tuple of Path
        Where else to look for it.

    Raises
    ------
    InputError
        No such file.
    UnreadableSlideError, ResolutionError, PixelFormatError
        It cannot be opened.
    """

    version = UNFINISHED
    cells = NoCells()

    def __init__(self, slide_id: str, path: Path, slide_folders: tuple[Path, ...] = ()) -> None:
        self._id, self._path = slide_id, place_of(path, slide_folders)
        with open_slide(self._path) as slide:
            self._size_l0, self._mpp = (slide.width_l0, slide.height_l0), slide.mpp_l0
            self._origin_l0 = (0, 0) if slide.bounds_l0 is None else (slide.bounds_l0.x0, slide.bounds_l0.y0)
        self.picture = Picture(self._path, self._size_l0, open_slide)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """As `SlideView.facts`, and ``unfinished``."""
        width, height = self._size_l0
        return {
            "id": self._id,
            "version": self.version,
            "unfinished": True,
            "file": self._path.name,
            "folder": "",
            "summary": "",
            "warnings": [],
            "width": width,
            "height": height,
            "mpp": self._mpp,
            "origin": list(self._origin_l0),
            "tile": TILE_PX,
            "picture": {"levels": level_count(width, height), "found": True},
            "labels": {"downsample": 1.0, "levels": [[width, height]]},
            "lattice": {"core": float(max(width, height)), "failed": []},
            "cells": {
                "largest": 0,
                "count": 0,
                "classes": [],
                "doubtful": CLASSES.names[DOUBTFUL],
                "measured": [],
                "refused": {"kept": False, "note": ""},
            },
        }

    def label_tile(self, level: int, col: int, row: int) -> None:
        """None: no tile has a cell.

        Parameters
        ----------
        level, col, row : int
            As of `SlideView.label_tile`.
        """

    def outlines(self, col: int, row: int) -> bytes:
        """As `SlideView.outlines`: there is none."""
        return np.zeros(2, "<u4").tobytes()

    def regions(self) -> list[dict[str, Any]]:
        """None: they are saved beside results."""
        return []

    def regions_as_geojson(self, drawings: Any) -> NoReturn:
        """Refuse them.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(f"{self._id}: has no results yet; draw regions when it is done")

    save_regions = regions_as_geojson

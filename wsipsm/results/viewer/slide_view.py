"""One finished slide, as the page asks for it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.core.errors import InputError, StoredResultsError
from wsipsm.core.geometry import Box
from wsipsm.results.draw import color_of
from wsipsm.results.formats.ome_zarr import open_levels
from wsipsm.results.result import Result
from wsipsm.results.viewer.cell_table import CellTable
from wsipsm.results.viewer.picture import Picture
from wsipsm.results.viewer.regions import as_geojson, load_regions, save_regions
from wsipsm.results.viewer.tiles import LARGEST_ID, TILE_PX, ids_as_png, label_tile, level_count, tile_box

_NO_COLOR = (200, 200, 200)
_KEEP = "wsipsm run --set cells.keep_doubtful=true keeps them"


class SlideView:
    """Tiles, columns and facts of a finished slide.

    Parameters
    ----------
    folder : Path
        Its output folder.
    version : str
        Of its results, see `Listing.version`.
    slide_folders : tuple of Path
        Where else to look for the slide's file.

    Raises
    ------
    OutputError
        The results cannot be read.
    """

    def __init__(self, folder: Path, version: str, slide_folders: tuple[Path, ...] = ()) -> None:
        self.result, self.version = Result(folder), version
        self.picture = Picture.of_result(self.result, slide_folders)
        self._levels = [array for array, _ in open_levels(folder / "labels.ome.zarr")]

    @cached_property
    def cells(self) -> CellTable:
        """Its cells.

        Raises
        ------
        StoredResultsError
            They cannot be read, or are too many for ids of three bytes.
        """
        found = CellTable(self.result)
        if found.largest_label >= LARGEST_ID:
            raise StoredResultsError(f"{self.result.folder}: more than {LARGEST_ID - 1:,} labels, too many to show")
        return found

    @property
    def _record(self) -> dict[str, Any]:
        return self.result.record

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the page must know before it draws, ready for JSON; lengths in level-0 px unless they say otherwise."""
        record, slide, grid = self._record, self._record["slide"], self._record["grid"]
        width, height = int(slide["width_l0"]), int(slide["height_l0"])
        core_px = int(record["config"]["tiles"]["core_px"])
        missing = self.picture.why_missing()
        return {
            "id": self.result.name,
            "version": self.version,
            "file": Path(slide["path"]).name,
            "folder": str(self.result.folder),
            "summary": self.result.summary,
            "warnings": [*self.result.warnings, *([f"The slide cannot be shown: {missing}"] if missing else [])],
            "width": width,
            "height": height,
            "mpp": float(slide["mpp_l0"]),
            "origin": list(self._origin_l0),
            "tile": TILE_PX,
            "picture": {"levels": level_count(width, height), "found": not missing},
            "labels": {
                "downsample": float(grid["downsample"]),
                "levels": [list(array.shape[::-1]) for array in self._levels],
            },
            "lattice": {"core": core_px * float(grid["downsample"]), "failed": sorted(record["failed_tiles"] or ())},
            "cells": self._cell_facts(),
        }

    def _cell_facts(self) -> dict[str, Any]:
        stain = str(self._record["config"]["recognizer"]["stain"])
        counts = self.cells.class_counts
        classes = [{"name": name, "color": _color(name), "count": count} for name, count in counts.items()]
        doubtful = CLASSES.names[DOUBTFUL]
        refused = sum((self._record["counts"].get("refused") or {}).values())
        kept = doubtful in counts
        lost = f"{refused:,} refused cells were not stored; {_KEEP}" if refused else ""
        return {
            "largest": self.cells.largest_label,
            "count": sum(counts.values()),
            "classes": classes,
            "doubtful": doubtful,
            "measured": [{"column": name, "title": title} for name, title in self.cells.titles(stain).items()],
            "refused": {"kept": kept, "note": "" if kept else lost},
        }

    def label_tile(self, level: int, col: int, row: int) -> bytes | None:
        """Tile of the labels as PNG, see `ids_as_png`; None where it has no cell.

        Parameters
        ----------
        level : int
            Of the stored labels, 0 is the finest.
        col, row : int
            Place of the tile in that level.

        Raises
        ------
        InputError
            No such tile.
        StoredResultsError
            The labels cannot be read.
        """
        if not 0 <= level < len(self._levels) or min(col, row) < 0:
            raise InputError(f"no tile {level}/{col}_{row}")
        try:
            labels = label_tile(self._levels[level], col, row)
        except (OSError, ValueError, LookupError) as error:
            raise StoredResultsError(f"{self.result.folder}: labels cannot be read: {error!r}") from None
        return ids_as_png(labels) if labels.any() else None

    def outlines(self, col: int, row: int) -> bytes:
        """Outlines of the cells of a tile of the finest labels, see `CellTable.outlines`."""
        scale, box = float(self._record["grid"]["downsample"]), tile_box(col, row)
        return self.cells.outlines(Box(*(round(side * scale) for side in (box.x0, box.y0, box.x1, box.y1))))

    @property
    def _origin_l0(self) -> tuple[int, int]:
        x, y = self._record["origin_l0"]["qupath"]
        return int(x), int(y)

    def regions(self) -> list[dict[str, Any]]:
        """Regions that were drawn and saved; errors as `load_regions`."""
        return load_regions(self.result.folder, origin_l0=self._origin_l0)

    def regions_as_geojson(self, drawings: Any) -> bytes:
        """Regions as a file to be downloaded; errors as `save_regions`."""
        return as_geojson(drawings, origin_l0=self._origin_l0)

    def save_regions(self, drawings: Any) -> dict[str, str]:
        """Save regions; the file and commands that take it. Errors as `save_regions`."""
        path = save_regions(self.result.folder, drawings, origin_l0=self._origin_l0)
        return {"file": str(path), "slide": str(self._record["slide"]["path"])}


def _color(name: str) -> tuple[int, int, int]:
    return color_of(name) if name in CLASSES.names else _NO_COLOR

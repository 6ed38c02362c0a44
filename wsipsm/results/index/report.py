"""The index of a finished slide: of the whole, of regions drawn later, and of its hot spots, from its stored cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.cells.marker import MARKER_COLUMNS, MarkerRule
from wsipsm.cells.measurements import measurements
from wsipsm.core.errors import OutputError, RegionError, StoredResultsError, short_reason
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.index.fields import Field, hot_spot_fields, tile_fields
from wsipsm.results.index.hot_spots import FieldRule
from wsipsm.results.index.lattice import GradeLattice
from wsipsm.results.index.scores import GRADES, scores
from wsipsm.results.result import Result
from wsipsm.results.searched import placed, qupath_origin_of, searched_region
from wsipsm.slide.annotations import read_regions
from wsipsm.tissue.region import Region, region_from_roi

BATCH_CELLS = 200_000
_OUTSIDE = 0.01
"""Share of a drawn region that may lie outside the region searched before that is said."""


@dataclass(frozen=True, eq=False)
class SlideReport:
    """What is asked of one slide.

    Attributes
    ----------
    slide : str
        Name of its folder.
    fields : list of Field
        The slide, or each region and their total where there is more than one; hot spots, the highest first; tiles.
    origin_l0 : (int, int)
        Origin of QuPath's frame, level-0 px.
    warnings : tuple of str
        What a reader must know.
    """

    slide: str
    fields: list[Field]
    origin_l0: tuple[int, int]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        rows = [field.to_dict() for field in self.fields]
        return {"slide": self.slide, "warnings": list(self.warnings), "regions": rows}


def report(folder: Path, *, roi: Path | None = None, rule: FieldRule, tile_um: float | None = None) -> SlideReport:
    """Figures of one slide from ``run.json``, ``cells.parquet`` and ``tissue.geojson`` of its folder.

    A cell belongs to a region by its anchor, as in a run that is given the region, so both count the same cells. Hot
    spots and tiles are sought inside the regions.

    Parameters
    ----------
    folder : Path
        The slide's output folder.
    roi : Path, optional
        GeoJSON polygons in QuPath's frame; by default the region that was searched.
    rule : FieldRule
        What a hot spot is.
    tile_um : float, optional
        Side of tiles to be listed too, micrometres.

    Raises
    ------
    OutputError
        The slide has no results, its cells have no classes, or they cannot be read.
    RegionError
        A region is empty, malformed or outside the slide.
    """
    stored = _Stored(folder)
    named = stored.drawn(roi) if roi else [("Slide", stored.searched)]
    whole = stored.union(roi) if roi else stored.searched
    counts = np.zeros((len(named), len(GRADES)), np.int64)
    lattices = [GradeLattice.over(stored.grid)]
    lattices += [GradeLattice.over(stored.grid, tile_um)] if tile_um else []
    for anchors, grades in stored.cells():
        xy = stored.centres(anchors)
        inside = whole.contains_l0(xy) if roi else np.ones(len(anchors), bool)
        for lattice in lattices:
            lattice.add(anchors[inside], grades[inside])
        for row, (_, region) in zip(counts, named, strict=True):
            row += np.bincount(grades[region.contains_l0(xy) if roi else inside], minlength=len(GRADES))
    areas = [stored.grid.area_mm2(region.area_l0) if roi else stored.mm2 for _, region in named]
    kind = "region" if roi else "slide"
    fields = [
        Field(name, kind, region.polygons, scores(row.tolist(), mm2))
        for (name, region), row, mm2 in zip(named, counts, areas, strict=True)
    ]
    if len(named) > 1:
        total = scores(lattices[0].total(), stored.grid.area_mm2(whole.area_l0))
        fields.append(Field("All regions", "total", whole.polygons, total))
    fields += hot_spot_fields(lattices[0], rule, whole)
    fields += tile_fields(lattices[1], whole) if tile_um else []
    note = read_regions(roi).note if roi else ""
    warnings = (note, *stored.warnings(named if roi else []))
    return SlideReport(folder.name, fields, stored.origin_l0, tuple(filter(None, warnings)))


class _Stored:
    """Stored cells of a slide with classes."""

    def __init__(self, folder: Path) -> None:
        self._folder, record = folder, Result(folder).record
        if not record.get("classes"):
            raise OutputError(
                f"{folder}: its cells have no classes, so there is no index; expected results of a run with classes, "
                "as of wsipsm run --config ihc"
            )
        try:
            self._rule = MarkerRule(**record["classes"] | {"grades_od": tuple(record["classes"]["grades_od"])})
            self.grid, self.mm2 = Grid(**record["grid"]), float(record["counts"]["mm2"])
            self.origin_l0 = qupath_origin_of(record)
            self._slide_l0 = Box(0, 0, record["slide"]["width_l0"], record["slide"]["height_l0"])
            written = measurements(record["config"]["recognizer"]["stain"])
            self._measured = written[MARKER_COLUMNS[self._rule.compartment]].column
        except (LookupError, TypeError, ValueError) as error:
            raise OutputError(f"{folder / 'run.json'}: cannot be read: {short_reason(error)}; run again") from None
        self._failed = len(record.get("failed_tiles") or ())
        self.searched = searched_region(folder, record)

    def drawn(self, roi: Path) -> list[tuple[str, Region]]:
        """Regions of a file by name, cut at the edge of the slide."""
        found = []
        for number, (name, polygons) in enumerate(read_regions(roi).named, 1):
            try:
                region = region_from_roi(placed(polygons, self.origin_l0), self._slide_l0)
            except RegionError as error:
                raise RegionError(f"{roi}: {name or f'region {number}'}: {error}") from None
            found.append((name or f"Region {number}", region))
        return found

    def union(self, roi: Path) -> Region:
        """All regions of a file as a run takes them."""
        return region_from_roi(placed(read_regions(roi).areas, self.origin_l0), self._slide_l0)

    def centres(self, anchors: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Centres of the pixels of (N,) anchors, (N, 2) level-0 px."""
        row, col = np.divmod(anchors, self.grid.width)
        return self.grid.to_l0(np.stack([col, row], axis=1) + 0.5)

    def cells(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]]:
        """Anchors and grades of cells that are not doubtful, in batches."""
        path = self._folder / "cells.parquet"
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH_CELLS, columns=["anchor", "class", self._measured]):
                    known = batch["class"].to_numpy(zero_copy_only=False) != CLASSES.names[DOUBTFUL]
                    grades = self._rule.grades(batch[self._measured].to_numpy()[known])
                    yield batch["anchor"].to_numpy()[known], grades
        except (OSError, LookupError, ValueError) as error:
            raise StoredResultsError(f"{path}: cells cannot be read: {short_reason(error)}; run again") from None

    def warnings(self, named: list[tuple[str, Region]]) -> tuple[str, ...]:
        """Where cells are missing: in tiles that failed, and in drawn regions beyond what was searched for cells."""
        said = [f"{self._failed} tiles failed in part or whole: cells are missing there"] if self._failed else []
        for name, region in named:
            beyond = region.polygons.difference(self.searched.polygons).area / region.area_l0
            if beyond > _OUTSIDE:
                said.append(
                    f"{name}: {beyond:.0%} of it lies outside the region that was searched for cells; "
                    "densities are over all of it"
                )
        return tuple(said)


def reports(out: Path, *, roi: Path | None = None, rule: FieldRule, tile_um: float | None = None) -> list[SlideReport]:
    """Reports of all slides with classes in an output folder, or of one slide; parameters and errors as `report`.

    Regions are of one slide, so they are refused where the folder holds several.

    Parameters
    ----------
    out, roi, rule, tile_um
        As in `report`; ``out`` may also hold the folders of several slides.
    """
    folders = slide_folders(out)
    if len(folders) == 1:
        return [report(folders[0], roi=roi, rule=rule, tile_um=tile_um)]
    if roi:
        names = ", ".join(folder.name for folder in folders[:10])
        raise OutputError(f"{out}: {roi} was drawn on one slide; expected the folder of that slide, one of {names}")
    found = [folder for folder in folders if Result(folder).record.get("classes")]
    return [report(folder, rule=rule, tile_um=tile_um) for folder in found or folders[:1]]


def slide_folders(out: Path) -> list[Path]:
    """Folders of slides in the output folder of a run, or the folder itself where it is that of a slide.

    Raises
    ------
    OutputError
        There is none.
    """
    if (out / "run.json").is_file():
        return [out]
    # Names that begin with a dot are drafts and scratch of a run that is under way.
    patterns = ("[!.]*/run.json", "[!.]*/[!.]*/run.json")
    found = sorted(path.parent for pattern in patterns for path in out.glob(pattern))
    if not found:
        raise OutputError(f"{out}: no results here: expected the output folder of wsipsm run, or of one slide in it")
    return found

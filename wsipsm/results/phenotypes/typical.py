"""Typical cells of each cluster, and their picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLUSTERS
from wsipsm.core.errors import OutputError, ResolutionError, SlideError, UnreadableSlideError
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Grid
from wsipsm.results.draw import png
from wsipsm.results.montage import CROP_MPP, CROPS, Crop, Row, crop_box, draw_montage
from wsipsm.results.phenotypes.features import Floats
from wsipsm.results.phenotypes.slides import PLACE, StoredSlide
from wsipsm.results.result import Result
from wsipsm.results.stored_cells import Columns, read_outlines_of
from wsipsm.slide import Slide


@dataclass(frozen=True, order=True, slots=True)
class Cell:
    """A cell of a slide, ordered by how typical it is.

    Attributes
    ----------
    rank : int
        Cells of its slide and cluster that are nearer to the centre.
    distance : float
        From the centre of its cluster, scaled features.
    slide : str
        Name of the slide's folder.
    label : int
        Of the cell.
    centroid_l0 : (float, float)
        (x, y), level-0 px.
    """

    rank: int
    distance: float
    slide: str
    label: int
    centroid_l0: tuple[float, float]


@dataclass(eq=False)
class Nearest:
    """The cells of one slide that are nearest to the centre of each cluster; equal ones by label.

    Attributes
    ----------
    slide : str
        Name of the slide's folder.
    best : dict of int to (n, 4) float64
        Distance, label, centroid x and y of at most `CROPS` cells of each cluster.
    """

    slide: str
    best: dict[int, Floats] = field(default_factory=dict)

    def add(self, place: Columns, clusters: npt.NDArray[np.intp], distances: Floats) -> None:
        """Take cells with the columns `PLACE`, their clusters and their distances; (N,) each.

        Parameters
        ----------
        place : Columns
            `PLACE` of N cells.
        clusters : (N,) int
            Their clusters.
        distances : (N,) float
            From the middle of the cluster, in scaled features.
        """
        rows = np.stack([distances, *(place[name].astype(np.float64) for name in PLACE)], axis=1)
        for number in np.unique(clusters).tolist():
            known = np.concatenate([self.best.get(number, np.zeros((0, 4))), rows[clusters == number]])
            self.best[number] = known[np.lexsort((known[:, 1], known[:, 0]))][:CROPS]

    def cells(self, cluster: int) -> list[Cell]:
        """Typical cells of a cluster, the most typical first."""
        rows = self.best.get(cluster, np.zeros((0, 4))).tolist()
        return [Cell(rank, away, self.slide, int(label), (x, y)) for rank, (away, label, x, y) in enumerate(rows)]


def typical_cells(found: Iterable[Nearest], clusters: int) -> list[list[Cell]]:
    """Typical cells of each cluster: the nearest of each slide, then the second of each, and so on."""
    slides = list(found)
    return [sorted(cell for one in slides for cell in one.cells(number))[:CROPS] for number in range(clusters)]


def save_montage(
    path: Path,
    slides: Sequence[StoredSlide],
    typical: Sequence[Sequence[Cell]],
    *,
    title: str,
    facts: str,
    figures: Sequence[tuple[str, ...]],
) -> list[str]:
    """Draw the typical cells of each cluster from the slides themselves and write them as PNG.

    Parameters
    ----------
    path : Path
        The picture.
    slides : sequence of StoredSlide
        Slides of the cells.
    typical : sequence of sequence of Cell
        Cells of each cluster.
    title, facts : str
        Written above.
    figures : sequence of tuple of str
        Written beside each cluster.

    Returns
    -------
    list of str
        Which slides could not be read, so that their cells are left out, and why.
    """
    crops: dict[tuple[str, int], Crop] = {}
    notes = []
    for slide in slides:
        cells = [cell for row in typical for cell in row if cell.slide == slide.name]
        try:
            crops |= _crops(slide, cells)
        except (SlideError, OutputError, OSError) as error:
            notes.append(f"cells of {slide.name} are not in the montage: {error}")
    rows = [
        Row(name, lines, color, tuple(crops[at] for cell in row if (at := (cell.slide, cell.label)) in crops))
        for name, color, lines, row in zip(CLUSTERS.names, CLUSTERS.colors, figures, typical, strict=False)
    ]
    write_bytes(path, png(draw_montage(title, facts, rows, notes)))
    return notes


def _crops(slide: StoredSlide, cells: Sequence[Cell]) -> dict[tuple[str, int], Crop]:
    if not cells:
        return {}
    outlines = read_outlines_of(slide.table, [cell.label for cell in cells])
    found = {}
    with Result(slide.folder).open_slide() as opened:
        grid = _grid(opened)
        for cell in cells:
            x, y = (at / grid.downsample for at in cell.centroid_l0)
            box = crop_box((x, y), grid.mpp)
            ring = np.asarray(outlines[cell.label].exterior.coords) / grid.downsample - (box.x0, box.y0)
            try:
                found[slide.name, cell.label] = Crop(opened.read(box, grid), ring)
            except UnreadableSlideError:  # damaged at this place: one crop fewer
                continue
    return found


def _grid(slide: Slide) -> Grid:
    """Plane that the crops are read on; that of the slide itself where it is coarser."""
    try:
        return slide.grid(CROP_MPP)
    except ResolutionError:
        return slide.grid(slide.mpp_l0)

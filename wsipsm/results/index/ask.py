"""The index in Python, as ``wsipsm index`` gives it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsipsm.core.words import python_words


@python_words
def index(
    out: str | Path,
    *,
    roi: str | Path | None = None,
    hot_spot_mm2: float | None = None,
    hot_spot_cells: int = 500,
    tile_um: float | None = None,
) -> list[dict[str, Any]]:
    """Index of finished slides, of regions drawn later, and of hot spots, as ``wsipsm index`` does.

    Parameters
    ----------
    out : path
        Output folder of a run with classes, or of one slide in it.
    roi : path, optional
        GeoJSON polygons in QuPath's frame, of one slide.
    hot_spot_mm2 : float, optional
        Area of a hot spot, square millimetres; by default what holds ``hot_spot_cells`` to twice as many cells.
    hot_spot_cells : int
        Fewest cells of a hot spot.
    tile_um : float, optional
        Side of tiles to be listed too, micrometres.

    Returns
    -------
    list of dict
        One a slide that has classes: ``slide``, ``warnings``, and ``regions`` with their figures, hot spots after them;
        a figure that is not defined is None.

    Raises
    ------
    OutputError
        There are no results, or no cell in them has a class.
    RegionError
        A region is empty, malformed or outside the slide.
    """
    from wsipsm.results.index.hot_spots import FieldRule
    from wsipsm.results.index.report import reports

    rule = FieldRule(hot_spot_cells, hot_spot_mm2)
    return [
        found.to_dict()
        for found in reports(Path(out), roi=None if roi is None else Path(roi), rule=rule, tile_um=tile_um)
    ]

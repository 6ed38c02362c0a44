"""Regions that the user draws: kept in the slide's folder as GeoJSON that QuPath and ``--roi`` take."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from wsipsm.core.errors import OutputError, RegionError
from wsipsm.slide.annotations import Annotation, read_regions, write_annotations
from wsipsm.slide.geojson import areas_of

FILE = "regions.geojson"
MOST_REGIONS, MOST_VERTICES = 1000, 20_000
_COLOR = (255, 200, 60)

Drawing = dict[str, Any]
"""``name`` and ``rings``, each a list of [x, y] in level-0 px, none a hole."""


def save_regions(folder: Path, drawings: Any, *, origin_l0: tuple[int, int]) -> Path:
    """Write regions, or remove the file where there is none left.

    Parameters
    ----------
    folder : Path
        Of the slide.
    drawings : list of Drawing
        What the page sent.
    origin_l0 : (int, int)
        Origin of QuPath's frame, level-0 px.

    Raises
    ------
    RegionError
        They are malformed, or one has no area.
    OutputError
        The file cannot be written.
    """
    found, path = _annotations(drawings), folder / FILE
    try:
        if found:
            write_annotations(found, path, offset_l0=origin_l0)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def as_geojson(drawings: Any, *, origin_l0: tuple[int, int]) -> bytes:
    """Content of the file that `save_regions` would write; errors as there."""
    with tempfile.TemporaryDirectory() as folder:
        return save_regions(Path(folder), drawings, origin_l0=origin_l0).read_bytes()


def load_regions(folder: Path, *, origin_l0: tuple[int, int]) -> list[Drawing]:
    """Regions that were saved; none where there is no file.

    Raises
    ------
    RegionError
        The file holds something else.
    """
    if not (folder / FILE).is_file():
        return []
    named = read_regions(folder / FILE).named
    rings = [[ring for area in areas for ring in _rings(area, origin_l0)] for _, areas in named]
    return [{"name": name, "rings": some} for (name, _), some in zip(named, rings, strict=True)]


def _rings(area: shapely.Geometry, origin_l0: tuple[int, int]) -> list[list[list[float]]]:
    parts = shapely.get_parts(area)
    return [(shapely.get_coordinates(part.exterior)[:-1] + origin_l0).tolist() for part in parts]


def _annotations(drawings: Any) -> list[Annotation]:
    try:
        if len(drawings) > MOST_REGIONS:
            raise RegionError(f"{len(drawings)} regions: expected at most {MOST_REGIONS}")
        return [_annotation(str(one["name"])[:200].strip(), one["rings"]) for one in drawings]
    except (LookupError, TypeError, ValueError) as error:
        raise RegionError(f"regions: expected name and rings of [x, y] for each, got {error!r}") from None


def _annotation(name: str, rings: Any) -> Annotation:
    corners = [np.asarray(ring, np.float64) for ring in rings]
    if any(ring.ndim != 2 or ring.shape[1] != 2 or not np.isfinite(ring).all() for ring in corners):
        raise RegionError(f"region {name!r}: expected finite corners [x, y]")
    if not 0 < sum(map(len, corners)) <= MOST_VERTICES:
        raise RegionError(f"region {name!r}: expected 3 to {MOST_VERTICES} corners")
    areas = [area for ring in corners if len(ring) > 2 for area in areas_of(shapely.Polygon(ring))]
    shape = shapely.union_all(areas)
    if shape.area < 1:
        raise RegionError(f"region {name!r}: it has no area")
    return Annotation(shape, "Region", _COLOR, name)

"""Annotations: regions as GeoJSON, written for QuPath and read from it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
import shapely.geometry

from wsipsm.core.errors import RegionError


def write_regions(
    polygons: Iterable[shapely.Geometry],
    path: Path,
    *,
    name: str,
    color: tuple[int, int, int],
    offset_l0: tuple[int, int],
) -> None:
    """Write polygons as QuPath annotations of one class.

    Parameters
    ----------
    polygons : iterable of Polygon or MultiPolygon
        Level-0 px; each part becomes an annotation, holes stay.
    path : Path
        ``.geojson`` or ``.geojson.gz``.
    name, color : str, (r, g, b)
        Class of the annotations.
    offset_l0 : (int, int)
        Origin (x, y) of the frame to write in, level-0 px.
    """
    moved = shapely.transform(list(polygons), lambda xy: xy - offset_l0)
    # Snapping to 0.1 keeps polygons valid, rounding alone would not; rounding then turns 12.300000000000001 into 12.3.
    parts = shapely.get_parts(shapely.set_precision(moved, 0.1, mode="valid_output"))
    parts = shapely.transform(parts[shapely.area(parts) > 0], lambda xy: np.round(xy, 1) + 0.0)
    properties = {"objectType": "annotation", "classification": {"name": name, "color": color}}
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(part), "properties": properties} for part in parts
    ]
    text = orjson.dumps({"type": "FeatureCollection", "features": features})
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    temporary.replace(path)


def read_regions(path: Path) -> list[shapely.Polygon | shapely.MultiPolygon]:
    """Polygons of a GeoJSON file, in the frame of the file.

    A FeatureCollection, a Feature, a geometry or a list of them, gzipped or not. Points and lines beside polygons are
    ignored; rings that cross themselves are repaired.

    Raises
    ------
    RegionError
        The file cannot be read, is no GeoJSON, or holds no polygon.
    """
    table = load_json(path)
    try:
        geometries = [shapely.force_2d(shapely.geometry.shape(one)) for one in _geometries(table)]
    except (ValueError, TypeError, LookupError, AttributeError, shapely.errors.ShapelyError) as error:
        raise RegionError(f"{path}: not a GeoJSON geometry: {' '.join(str(error).split())}") from None
    if not all(np.isfinite(shapely.get_coordinates(geometry)).all() for geometry in geometries):
        raise RegionError(f"{path}: a coordinate is not a finite number")
    regions = [region for geometry in geometries for region in _polygonal(geometry)]
    if not regions:
        got = ", ".join(sorted({geometry.geom_type for geometry in geometries})) or "no object"
        raise RegionError(f"{path}: holds no area ({got}); expected at least one polygon")
    return regions


def load_json(path: Path) -> Any:
    """Content of a JSON file, gzipped or not.

    Raises
    ------
    RegionError
        The file cannot be read or is not JSON.
    """
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
        return orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise RegionError(f"{path}: damaged gzip file") from None
    except OSError as error:
        raise RegionError(f"{path}: cannot be read: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise RegionError(f"{path}: not JSON: {error}") from None


def _geometries(table: Any) -> Iterator[dict[str, Any]]:
    """All geometries that are not null, as mappings; a TypeError for anything else."""
    if isinstance(table, list):
        for one in table:
            yield from _geometries(one)
    elif not isinstance(table, dict) or "type" not in table:
        raise TypeError(f"expected an object with a type, got {str(table)[:60]!r}")
    elif table["type"] == "FeatureCollection":
        yield from _geometries(table["features"])
    elif table["type"] != "Feature":
        yield table
    elif table.get("geometry") is not None:
        yield from _geometries(table["geometry"])


def _polygonal(geometry: shapely.Geometry) -> list[shapely.Polygon | shapely.MultiPolygon]:
    """Valid parts of a geometry that have an area; usually one."""
    if isinstance(geometry, shapely.GeometryCollection):
        return [region for part in geometry.geoms for region in _polygonal(part)]
    if not isinstance(geometry, shapely.Polygon | shapely.MultiPolygon):
        return []
    if geometry.is_valid:
        return [geometry] if geometry.area > 0 else []
    return [region for region in _polygonal(shapely.make_valid(geometry)) if region.area > 0]

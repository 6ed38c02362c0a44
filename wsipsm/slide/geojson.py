"""Reads the objects of a GeoJSON file, with what QuPath says of each: its type, its class and its nucleus."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely
import shapely.geometry

from wsipsm.core.errors import RegionError

Area = shapely.Polygon | shapely.MultiPolygon
"""A geometry that has an area."""

ZIP_MAGIC, GZIP_MAGIC = b"PK\x03\x04", b"\x1f\x8b"
_OLD_IDS = {"pathannotationobject": "annotation", "pathdetectionobject": "detection", "pathcellobject": "cell"}
_OLD_IDS |= {"pathtileobject": "tile", "pathrootobject": "root"}
"""What QuPath 0.2 wrote for the type of an object, as the ``id`` of its feature."""
_NAMES = {"point": "point", "multipoint": "set of points", "linestring": "line", "multilinestring": "set of lines"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One object of a file.

    Attributes
    ----------
    geometry : Geometry or None
        In the frame of the file, without Z; None for an object that has none, as QuPath's root.
    kind : str
        QuPath's type, such as ``annotation``, ``detection``, ``cell``, ``tile``, ``root``; empty in other GeoJSON.
    class_name : str
        Class; empty where it has none.
    nucleus : Geometry or None
        Nucleus of a QuPath cell.
    name : str
        Name of the object, or else its class with all its parts; empty where it has neither.
    """

    geometry: shapely.Geometry | None
    kind: str = ""
    class_name: str = ""
    nucleus: shapely.Geometry | None = None
    name: str = ""

    @property
    def ignored(self) -> bool:
        """Whether QuPath ignores the class: its name ends in ``*``."""
        return self.class_name.endswith("*")

    @property
    def shape_name(self) -> str:
        """What an object without an area is, in words."""
        if self.geometry is None:
            return f"{self.kind} object without a geometry".lstrip()
        name = type(self.geometry).__name__
        return _NAMES.get(name.lower(), f"{name} without an area")


def read_drawn(path: Path) -> list[Drawn]:
    """All objects of a file, in its order.

    A FeatureCollection, a Feature, a geometry or a list of them; plain, gzipped, or one or more files in a zip. The
    bare ``NaN`` that QuPath 0.4 writes as a measurement is read as null.

    Raises
    ------
    RegionError
        The file cannot be read, or is no GeoJSON.
    """
    try:
        drawn = list(_drawn(load_json(path)))
    except (ValueError, TypeError, LookupError, AttributeError, shapely.errors.ShapelyError) as error:
        raise RegionError(f"{path}: not a GeoJSON geometry: {' '.join(str(error).split())}") from None
    shapes = [shape for one in drawn for shape in (one.geometry, one.nucleus) if shape is not None]
    if not all(np.isfinite(shapely.get_coordinates(shape)).all() for shape in shapes):
        raise RegionError(f"{path}: a coordinate is not a finite number")
    return drawn


def load_json(path: Path) -> Any:
    """Content of a JSON file, plain, gzipped or zipped; of several files in a zip the list of theirs.

    Raises
    ------
    RegionError
        The file cannot be read or is not JSON.
    """
    tables = [_parsed(path, text) for text in _texts(path)]
    return tables[0] if len(tables) == 1 else tables


def areas_of(geometry: shapely.Geometry | None) -> list[Area]:
    """Valid parts of a geometry that have an area; usually one."""
    if isinstance(geometry, shapely.GeometryCollection):
        return [area for part in geometry.geoms for area in areas_of(part)]
    if not isinstance(geometry, shapely.Polygon | shapely.MultiPolygon):
        return []
    if geometry.is_valid:
        return [geometry] if geometry.area > 0 else []
    return [area for area in areas_of(shapely.make_valid(geometry)) if area.area > 0]


def counted(names: Iterable[str]) -> str:
    """Names with their counts, in words, the most frequent first.

    Examples
    --------
    >>> counted(["point", "cell", "point"])
    '2 points, 1 cell'
    """
    found = Counter(names).most_common()
    return ", ".join(f"{count} {_plural(name) if count > 1 else name}" for name, count in found)


def _plural(name: str) -> str:
    first, space, rest = name.partition(" ")
    if first in {"set", "object", "annotation", "detection", "cell", "tile"}:
        return f"{first}s{space}{rest}"
    return f"{name}s" if not space else name.replace(" object", " objects")


def _texts(path: Path) -> list[bytes]:
    """JSON texts in a file."""
    try:
        raw = path.read_bytes()
        if raw.startswith(ZIP_MAGIC):
            return _members(path, raw)
        return [gzip.decompress(raw) if raw.startswith(GZIP_MAGIC) else raw]
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise RegionError(f"{path}: damaged gzip file") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # the last is an encrypted member
        raise RegionError(f"{path}: a zip file that cannot be read: {error}") from None
    except OSError as error:
        raise RegionError(f"{path}: cannot be read: {error.strerror}") from None


def _members(path: Path, raw: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        names = [name for name in archive.namelist() if is_json_member(name)]
        if not names:
            raise RegionError(f"{path}: a zip file without a .geojson or .json inside")
        return [archive.read(name) for name in names]


def is_json_member(name: str) -> bool:
    """Whether a file in a zip is GeoJSON by its name; macOS adds files of its own beside each."""
    return name.lower().endswith((".geojson", ".json")) and not name.startswith("__MACOSX/")


def _parsed(path: Path, text: bytes) -> Any:
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = error
    try:  # QuPath 0.4 writes bare NaN, which is no JSON
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise RegionError(f"{path}: not JSON: {reason}") from None


def _drawn(table: Any) -> Iterator[Drawn]:
    """Objects of a table; a TypeError for what is none."""
    if isinstance(table, list):
        for one in table:
            yield from _drawn(one)
    elif not isinstance(table, dict) or "type" not in table:
        raise TypeError(f"expected an object with a type, got {str(table)[:60]!r}")
    elif table["type"] == "FeatureCollection":
        yield from _drawn(table["features"])
    elif table["type"] != "Feature":
        yield Drawn(_shape(table))
    else:
        properties = table.get("properties") or {}
        nucleus = table.get("nucleusGeometry") or properties.get("nucleusGeometry")
        shapes, names = (_shape(table.get("geometry")), _shape(nucleus)), _classes(properties)
        name = properties.get("name") or ": ".join(names)
        kind, last = _kind(table, properties), names[-1].split(": ")[-1].strip() if names else ""
        yield Drawn(shapes[0], kind, last, shapes[1], str(name))


def _shape(geometry: Any) -> shapely.Geometry | None:
    """Geometry of a mapping; None for null and for the ``{}`` of QuPath's root object."""
    return shapely.force_2d(shapely.geometry.shape(geometry)) if geometry else None


def _kind(feature: dict[str, Any], properties: dict[str, Any]) -> str:
    kind = properties.get("objectType") or properties.get("object_type")
    return str(kind).lower() if kind else _OLD_IDS.get(str(feature.get("id", "")).lower(), "")


def _classes(properties: dict[str, Any]) -> list[str]:
    """Parts of a class' name; QuPath looks at the last one for ``*``."""
    found = properties.get("classification") or {}
    if isinstance(found, str):
        return [found]
    return [str(name) for name in found.get("names") or [found.get("name") or ""] if name]

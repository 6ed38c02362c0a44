"""GeoJSON files with one planted fault each, and what a check must call it."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.helpers.qupath import MEASUREMENTS, OF_NUCLEI

Table = dict[str, Any]
Change = Callable[[Table], object]

BOW_TIE = [[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]
SLIVER = [[0.0, 0.0], [9.0, 0.0], [9.0, 0.001], [0.0, 0.0]]
FLAT = [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]
HOLE = [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0], [1.0, 1.0]]
FAR = [[50.0, 50.0], [52.0, 50.0], [52.0, 52.0], [50.0, 50.0]]


def square(x: float, side: float = 8.0) -> list[list[float]]:
    return [[x, 0.0], [x + side, 0.0], [x + side, side], [x, side], [x, 0.0]]


def collection(count: int = 3, object_type: str = "detection") -> Table:
    """Features that QuPath takes as they are meant."""
    return {"type": "FeatureCollection", "features": [feature(i, object_type) for i in range(count)]}


def feature(i: int, object_type: str = "detection") -> Table:
    properties = {
        "objectType": object_type,
        "classification": {"name": "Nucleus", "color": [60, 140, 255]},
        "measurements": dict.fromkeys(sorted(OF_NUCLEI if object_type == "cell" else MEASUREMENTS), 1.5 + i),
    }
    outline = {"type": "Polygon", "coordinates": [square(20.0 * i)]}
    nucleus = {"nucleusGeometry": outline} if object_type == "cell" else {}
    return {"type": "Feature", "id": str(uuid.UUID(int=i + 1)), "geometry": outline, "properties": properties} | nucleus


def dumps(table: Any) -> bytes:
    return json.dumps(table, separators=(",", ":")).encode()


def write(path: Path, content: bytes | Table) -> Path:
    """Write a file; gzipped where its name ends so, without name and time in the header."""
    raw = content if isinstance(content, bytes) else dumps(content)
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
    return path


def at(*keys: str | int, value: Any) -> Change:
    """Set a value of the second feature."""

    def change(table: Table) -> None:
        place: Any = table["features"][1]
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def without(*keys: str | int) -> Change:
    """Remove a key of the second feature."""

    def change(table: Table) -> None:
        place: Any = table["features"][1]
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


def outline(kind: str, coordinates: Any) -> Change:
    return at("geometry", value={"type": kind, "coordinates": coordinates})


def moved(source: str, key: str) -> Change:
    """Move a property of the second feature out of its properties."""
    return lambda table: table["features"][1].update({key: table["features"][1]["properties"].pop(source)})


P, C, M = "properties", ("properties", "classification"), ("properties", "measurements")
COLOR = (*C, "color")

FEATURES: dict[str, tuple[str, str, Change]] = {
    "type of feature": ("wrong", "not_a_feature_type", at("type", value="Cell")),
    "null id": ("abort", "null_value", at("id", value=None)),
    "null geometry": ("abort", "null_value", at("geometry", value=None)),
    "null properties": ("abort", "null_value", at(P, value=None)),
    "null name": ("abort", "null_value", at(P, "name", value=None)),
    "null objectType": ("abort", "null_value", at(P, "objectType", value=None)),
    "null plane": ("abort", "null_value", at("plane", value=None)),
    "null nucleus": ("abort", "null_value", at("nucleusGeometry", value=None)),
    "properties a list": ("abort", "properties_kind", at(P, value=[1])),
    "objectType beside": ("wrong", "object_type_misplaced", moved("objectType", "objectType")),
    "no objectType": ("wrong", "object_type_missing", without(P, "objectType")),
    "Detection": ("wrong", "object_type_unknown", at(P, "objectType", value="Detection")),
    "free type": (
        "wrong",
        "type_taken_for_object_type",
        lambda table: table["features"][1][P].update(type=table["features"][1][P].pop("objectType") and "Neoplastic"),
    ),
    "no id": ("minor", "id_missing", without("id")),
    "number as id": ("wrong", "id_not_uuid", at("id", value=7)),
    "text as id": ("wrong", "id_not_uuid", at("id", value="cell_7")),
    "id twice": ("wrong", "id_repeated", at("id", value=str(uuid.UUID(int=1)))),
    "class a list": ("abort", "class_kind", at(*C, value=["Tumor"])),
    "class without color": ("abort", "class_without_color", without(*COLOR)),
    "hex color": ("abort", "color_kind", at(*COLOR, value="#3c8cff")),
    "packed color": ("abort", "color_kind", at(*COLOR, value=-16711936)),
    "fractions as color": ("abort", "color_kind", at(*COLOR, value=[0.2, 0.5, 1.0])),
    "color out of range": ("wrong", "color_range", at(*COLOR, value=[60, 140, 300])),
    "two colors": ("wrong", "class_of_two_colors", at(*COLOR, value=[1, 2, 3])),
    "blank class": ("abort", "class_blank", at(*C, "name", value=" ")),
    "empty class": ("abort", "class_blank", at(*C, value="")),
    "class without name": ("wrong", "class_without_name", without(*C, "name")),
    "derived class": ("minor", "class_derived", at(*C, "name", value="Tumor: Positive")),
    "measurements as text": ("abort", "measurements_kind", at(*M, value="7")),
    "measurement a word": ("abort", "measurement_no_number", at(*M, "Label", value="seven")),
    "measurement a list": ("abort", "measurement_no_number", at(*M, "Label", value=[7])),
    "measurement true": ("abort", "measurement_no_number", at(*M, "Label", value=True)),
    "number as text": ("minor", "measurement_text", at(*M, "Label", value="7")),
    "measurement null": ("minor", "measurement_null", at(*M, "Label", value=None)),
    "measurement NaN": ("minor", "measurement_nan", at(*M, "Label", value=float("nan"))),
    "nucleus in properties": (
        "wrong",
        "nucleus_misplaced",
        at(P, "nucleusGeometry", value={"type": "Polygon", "coordinates": [square(21.0, 2.0)]}),
    ),
    "nucleus of a detection": (
        "minor",
        "nucleus_unread",
        at("nucleusGeometry", value={"type": "Polygon", "coordinates": [square(21.0, 2.0)]}),
    ),
    "property of another tool": ("minor", "properties_unread", at(P, "prob", value=0.5)),
    "no geometry": ("abort", "geometry_missing", without("geometry")),
    "collection as geometry": (
        "abort",
        "geometry_collection",
        at("geometry", value={"type": "GeometryCollection", "geometries": []}),
    ),
    "circle": ("abort", "geometry_kind", outline("Circle", [1.0, 2.0])),
    "no coordinates": ("wrong", "geometry_empty", outline("Polygon", [])),
    "null coordinate": ("abort", "coordinate_no_number", outline("Polygon", [[*square(0)[:-2], [None, 1.0], [0, 0]]])),
    "text coordinate": ("abort", "coordinate_no_number", outline("Polygon", [[*square(0)[:-2], ["1", 1.0], [0, 0]]])),
    "NaN coordinate": (
        "abort",
        "coordinate_not_finite",
        outline("Polygon", [[*square(0)[:-2], [float("nan"), 1.0], [0, 0]]]),
    ),
    "open ring": ("abort", "ring_open", outline("Polygon", [square(0.0)[:-1]])),
    "ring open by a hair": ("abort", "ring_open", outline("Polygon", [[*square(0.0)[:-1], [0.0, 1e-9]]])),
    "three points": ("abort", "ring_short", outline("Polygon", [[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]])),
    "bow-tie": ("abort", "polygon_invalid", outline("Polygon", [BOW_TIE])),
    "hole outside": ("abort", "polygon_invalid", outline("Polygon", [square(0.0), FAR])),
    "overlapping parts": ("abort", "polygon_invalid", outline("MultiPolygon", [[square(0.0)], [square(4.0)]])),
    "spike": (
        "abort",
        "polygon_invalid",
        outline("Polygon", [[*square(0.0)[:3], [8.0, 12.0], [8.0, 8.0], *square(0.0)[3:]]]),
    ),
    "flat ring": ("wrong", "polygon_collapses", outline("Polygon", [FLAT])),
    "sliver": ("wrong", "polygon_collapses", outline("Polygon", [SLIVER])),
    "hole": ("minor", "polygon_of_parts", outline("Polygon", [square(0.0), HOLE])),
    "two parts": ("minor", "polygon_of_parts", outline("MultiPolygon", [[square(0.0)], [square(40.0)]])),
}
"""Severity, rule and change of the second of three features."""

GOOD = dumps(collection())
FILES: dict[str, tuple[str, str, str, bytes]] = {
    "another name": ("wrong", "extension", "cells.txt", GOOD),
    "not gzip": ("abort", "gzip_mismatch", "cells.geojson", gzip.compress(GOOD, mtime=0)),
    "cut": ("abort", "truncated", "cells.geojson", GOOD[:-40]),
    "cut between features": ("abort", "truncated", "cells.geojson", GOOD[:-2]),
    "trailing comma": ("abort", "trailing_comma", "cells.geojson", GOOD[:-2] + b",]}"),
    "a feature a line": (
        "abort",
        "newline_delimited",
        "cells.geojson",
        b"\n".join(dumps(one) for one in collection()["features"]),
    ),
    "null in the list": ("abort", "not_a_feature", "cells.geojson", GOOD[:-2] + b",null]}"),
    "other JSON behind": ("abort", "not_json", "cells.geojson", GOOD + b"{}"),
    "single quotes": ("abort", "not_json", "cells.geojson", GOOD.replace(b'"Polygon"', b"'Polygon'", 1)),
    "no comma": ("abort", "not_json", "cells.geojson", GOOD.replace(b'},{"type":"Feature"', b'} {"type":"Feature"', 1)),
    "no type": ("wrong", "not_a_collection", "cells.geojson", GOOD.replace(b'"FeatureCollection"', b'"Collection"')),
    "nothing": ("abort", "not_json", "cells.geojson", b""),
    "a bare list": ("minor", "bare_list", "cells.geojson", dumps(collection()["features"])),
    "a bare feature": ("minor", "bare_feature", "cells.geojson", dumps(feature(0))),
    "no feature": ("minor", "no_feature", "cells.geojson", dumps(collection(0))),
}
"""Severity, rule, name and content of files that are wrong as a whole."""

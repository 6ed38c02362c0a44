"""An oracle of what QuPath's importer accepts, written from its rules and not from our writer."""

from __future__ import annotations

import gzip
import json
import math
import uuid
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import shapely

_OWN = {"Confidence", "Label"}
_PLAIN = {"Area µm^2", "Perimeter µm", "Circularity", "Max diameter µm", "Min diameter µm", "Eccentricity", "Solidity"}
_OF_CELLS = ("Area", "Perimeter", "Circularity", "Max diameter µm", "Min diameter µm", "Eccentricity", "Solidity")


def _densities(part: str, *stains: str) -> set[str]:
    return {f"{part}: {stain} OD {kind}" for stain in stains for kind in ("mean", "std dev")}


_MARKER = {"Nucleus: Hematoxylin OD core", "Nucleus: DAB OD core", "Ring: DAB OD mean"}
MEASUREMENTS = _PLAIN | _OWN | _densities("Nucleus", "Hematoxylin", "Eosin")
OF_A_MARKER = _PLAIN | _OWN | _densities("Nucleus", "Hematoxylin", "DAB") | _MARKER
"""Measurements of haematoxylin and eosin, and of haematoxylin and DAB, on detections and annotations."""
OF_NUCLEI = {f"Nucleus: {one}" for one in _OF_CELLS} | MEASUREMENTS - _PLAIN
OF_WHOLE_CELLS = (
    OF_NUCLEI
    | {f"Cell: {one}" for one in _OF_CELLS}
    | _densities("Cell", "Hematoxylin", "Eosin")
    | _densities("Cytoplasm", "Hematoxylin", "Eosin")
    | {"Nucleus/Cell area ratio"}
)
"""Measurements of haematoxylin and eosin on cells: of nuclei alone, and of nuclei that grew to whole cells."""


def read_as_qupath(path: Path, object_type: str = "detection", geometry_type: str = "Polygon") -> list[dict[str, Any]]:
    """Features of a file, every rule of QuPath's importer checked."""
    assert path.name.endswith(".geojson.gz")
    raw = path.read_bytes()
    assert raw[:2] == b"\x1f\x8b"
    assert raw[3] == 0, "no file name in the header"
    assert raw[4:8] == bytes(4), "no time in the header"
    text = gzip.decompress(raw).decode("utf-8")
    assert ", " not in text
    assert '": ' not in text
    assert "\n" not in text
    table = json.loads(text, parse_float=one_decimal_or_fraction, parse_constant=refuse)
    assert set(table) == {"type", "features"}
    assert table["type"] == "FeatureCollection"
    assert no_null_inside(table)
    for feature in table["features"]:
        check_feature(feature, object_type, geometry_type)
    ids = [feature["id"] for feature in table["features"]]
    assert len(set(ids)) == len(ids)
    classes = {json.dumps(feature["properties"]["classification"]) for feature in table["features"]}
    assert len(classes) == len({json.loads(one)["name"] for one in classes}), "one class, one colour"
    return list(table["features"])


class Decimal(float):
    """A number that knows how many decimals it was written with."""

    decimals = 0


def one_decimal_or_fraction(text: str) -> Decimal:
    assert "e" not in text.lower()
    number = Decimal(text)
    number.decimals = len(text.partition(".")[2])
    return number


def refuse(text: str) -> None:
    raise AssertionError(f"{text} in the file")


def no_null_inside(value: Any) -> bool:
    if isinstance(value, dict):
        return all(no_null_inside(one) for one in value.values())
    if isinstance(value, list):
        return all(no_null_inside(one) for one in value)
    return value is not None


def check_feature(feature: dict[str, Any], object_type: str, geometry_type: str) -> None:
    has_nucleus = {"nucleusGeometry"} if object_type == "cell" else set()
    assert set(feature) == {"type", "id", "geometry", "properties"} | has_nucleus
    assert feature["type"] == "Feature"
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    properties = feature["properties"]
    assert set(properties) == {"objectType", "classification", "measurements"}, "no free type property"
    assert properties["objectType"] == object_type
    name, color = properties["classification"]["name"], properties["classification"]["color"]
    assert name.strip()
    assert ": " not in name
    assert len(color) == 3
    assert all(type(channel) is int and 0 <= channel <= 255 for channel in color)
    known = (OF_NUCLEI, OF_WHOLE_CELLS) if object_type == "cell" else (MEASUREMENTS, OF_A_MARKER)
    assert set(properties["measurements"]) in known
    assert all(type(value) in (int, Decimal) and math.isfinite(value) for value in properties["measurements"].values())
    assert feature["geometry"]["type"] == geometry_type
    outlines = [feature[key] for key in ("geometry", "nucleusGeometry") if key in feature]
    for outline in outlines:
        if outline["type"] == "Polygon":
            check_outline(outline)


def check_outline(outline: dict[str, Any]) -> None:
    assert len(outline["coordinates"]) == 1, "no hole"
    ring = outline["coordinates"][0]
    assert len(ring) >= 4
    assert ring[0] == ring[-1]
    assert all(len(point) == 2 and all(value.decimals == 1 for value in point) for point in ring)
    for kind in (np.float64, np.float32):  # QuPath keeps float32
        polygon = shapely.Polygon(np.array(ring, kind).astype(np.float64))
        assert polygon.is_valid
        assert polygon.area > 0
        snapped = shapely.set_precision(polygon, 0.01, mode="valid_output")
        assert not snapped.is_empty
        assert snapped.geom_type == "Polygon"
        assert snapped.area == pytest.approx(polygon.area, rel=0.05, abs=0.05)


def classes_of(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [feature["properties"]["classification"] for feature in features]


def read_annotations_as_qupath(path: Path) -> list[dict[str, Any]]:
    """Annotations of a file, every rule of QuPath's importer checked; they may have holes and several parts."""
    assert path.name.endswith((".geojson", ".geojson.gz"))
    raw = path.read_bytes()
    text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    table = json.loads(text, parse_constant=refuse)
    assert table["type"] == "FeatureCollection"
    assert no_null_inside(table)
    for feature in table["features"]:
        assert set(feature) <= {"type", "id", "geometry", "properties"}
        properties = feature["properties"]
        assert set(properties) <= {"objectType", "classification", "name", "measurements"}
        assert properties["objectType"] == "annotation"
        assert "id" not in feature or str(uuid.UUID(feature["id"])) == feature["id"]
        assert properties["classification"]["name"].strip()
        assert ": " not in properties["classification"]["name"]
        assert len(properties["classification"]["color"]) == 3
        assert all(type(channel) is int and 0 <= channel <= 255 for channel in properties["classification"]["color"])
        assert feature["geometry"]["type"] in {"Polygon", "MultiPolygon"}
        assert all(math.isfinite(value) for value in properties.get("measurements", {}).values())
        for kind in (np.float64, np.float32):  # QuPath keeps float32
            shape = shapely.transform(
                shapely.geometry.shape(feature["geometry"]), lambda xy, kind=kind: xy.astype(kind).astype(float)
            )
            assert shape.is_valid
            assert shape.area > 0
            snapped = shapely.set_precision(shape, 0.01, mode="valid_output")
            assert snapped.area == pytest.approx(shape.area, rel=0.05, abs=0.05)
    colors = {(one["name"], tuple(one["color"])) for one in classes_of(table["features"])}
    assert len(colors) == len({name for name, _ in colors}), "one class, one colour"
    return list(table["features"])


class Opened(NamedTuple):
    """An image of a project: its name, its file, what reads it, and with what arguments."""

    name: str
    file: Path
    provider: str
    arguments: tuple[str, ...]


def open_project(path: Path) -> dict[int, Opened]:
    """Images of a project by their ids, read as QuPath's ``DefaultProject`` and ``DefaultImageServerBuilder`` do."""
    project = json.loads(path.read_text(encoding="utf-8"))
    assert type(project["createTimestamp"]) is type(project["modifyTimestamp"]) is int
    assert project["version"]
    assert project["version"] not in {"v0.2.0-m1", "v0.2.0-m2"}
    assert _file(project["uri"]) == path.absolute()
    opened = {entry["entryID"]: _opened(entry) for entry in project["images"]}
    assert len(opened) == len(project["images"])
    assert project["lastID"] >= max(opened)
    assert len({entry["randomizedName"] for entry in project["images"]}) == len(opened)
    return opened


def _opened(entry: dict[str, Any]) -> Opened:
    builder = entry["serverBuilder"]
    assert entry.keys() <= {
        "serverBuilder",
        "entryID",
        "randomizedName",
        "imageName",
        "description",
        "metadata",
        "tags",
    }
    assert builder.keys() <= {"builderType", "providerClassName", "uri", "args", "metadata"}
    assert builder["builderType"] == "uri"
    assert type(entry["entryID"]) is int
    assert all(isinstance(value, str) for value in entry["metadata"].values())
    uuid.UUID(entry["randomizedName"])
    package, _, provider = builder["providerClassName"].partition("qupath.lib.images.servers.")
    assert package == ""
    return Opened(entry["imageName"], _file(builder["uri"]), provider, tuple(builder["args"]))


def _file(uri: str) -> Path:
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("file", "", "", "")
    assert uri.isascii()
    return Path(unquote(parts.path))

"""Mends features so that QuPath takes them as they were meant; what cannot be mended is dropped and counted."""

from __future__ import annotations

import math
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import orjson

from wsipsm.cells.classes import CLASSES, CLUSTERS
from wsipsm.results.formats.feature_file import FeatureFile
from wsipsm.results.validate import checks
from wsipsm.results.validate.feature import OBJECT_TYPES, parse_feature
from wsipsm.results.validate.mend_shape import mend_geometry
from wsipsm.results.validate.report import Report
from wsipsm.results.validate.shapes import SHAPE_RULES, STRUCTURE

_OF_GEOMETRY = {*STRUCTURE, *(rule.key for rule, _ in SHAPE_RULES), "null_value", "nucleus_misplaced"}
"""Rules whose breach may mean that a geometry must be mended."""
_IDS = uuid.uuid5(uuid.NAMESPACE_DNS, "wsipsm.validate")


class Mender:
    """Writes features, mended where a rule is broken.

    Parameters
    ----------
    target : FeatureFile
        An open file.
    report : Report
        Gets what was mended and dropped.
    """

    def __init__(self, target: FeatureFile, report: Report) -> None:
        self._target, self._report = target, report
        self._colors: dict[str, Any] = {}
        self._seen: set[int] = set()
        self._index = -1

    def write(self, texts: list[bytes], flagged: list[set[str]]) -> None:
        """Append the next features; those that break no rule stay as they are, byte for byte."""
        kept = [self._mended(text, flags) for text, flags in zip(texts, flagged, strict=True)]
        self._report.dropped += kept.count(b"")
        self._target.add(b"".join(b"," + text for text in kept if text))

    def _mended(self, text: bytes, flags: set[str]) -> bytes:
        """Feature as it is written; nothing if it is dropped."""
        self._index += 1
        if "not_json" in flags:
            return b""
        raw = parse_feature(text)
        if not flags - {"properties_unread"}:
            known = raw["id"]
            self._unique_id(raw)
            self._note(raw)
            return text if raw["id"] == known else orjson.dumps(raw)
        for what, mend in (*_STEPS, ("class colours made one", self._one_color), ("new ids", self._unique_id)):
            before = orjson.dumps(raw)
            mend(raw)
            if orjson.dumps(raw) != before:
                self._report.mended[what] += 1
        kept = not flags & _OF_GEOMETRY or mend_geometry(raw, self._report.mended)
        return orjson.dumps(raw) if kept else b""

    def _note(self, raw: dict[str, Any]) -> None:
        """Remember the colour of a class that stays as it is."""
        value = raw["properties"].get("classification")
        if isinstance(value, dict):
            self._colors.setdefault(value.get("name", ""), value.get("color"))

    def _one_color(self, raw: dict[str, Any]) -> None:
        value = raw["properties"].get("classification")
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            value["color"] = self._colors.setdefault(value["name"], value.get("color"))

    def _unique_id(self, raw: dict[str, Any]) -> None:
        value = raw.get("id")
        good = isinstance(value, str) and checks.UUID.fullmatch(value)
        if not good or hash(value) in self._seen:
            raw["id"] = str(uuid.uuid5(_IDS, f"{self._index}/{value}"))
        self._seen.add(hash(raw["id"]))


def _structure(raw: dict[str, Any]) -> None:
    raw["type"] = "Feature"
    if not isinstance(raw.get("properties"), dict):
        raw["properties"] = {}


def _nulls(raw: dict[str, Any]) -> None:
    for table in (raw, raw["properties"]):
        for key in [key for key, value in table.items() if value is None]:
            del table[key]


def _object_type(raw: dict[str, Any]) -> None:
    properties = raw["properties"]
    given = [properties.get(key) for key in ("objectType", "object_type", "type")] + [raw.pop("objectType", None)]
    names = [value.lower() for value in given if isinstance(value, str)]
    known = next((name for name in names if name in OBJECT_TYPES), "detection")
    free = properties.pop("type", None)
    properties.pop("object_type", None)
    properties["objectType"] = known
    if free is not None and str(free).lower() not in OBJECT_TYPES and "classification" not in properties:
        properties["classification"] = {"name": str(free)}


def _nucleus(raw: dict[str, Any]) -> None:
    nucleus = raw["properties"].pop("nucleusGeometry", None)
    if isinstance(nucleus, dict):
        raw.setdefault("nucleusGeometry", nucleus)


def _class(raw: dict[str, Any]) -> None:
    value = raw["properties"].get("classification")
    if isinstance(value, dict):
        names = value.get("names")
        name = value.get("name", ": ".join(map(str, names)) if isinstance(names, list) else None)
        if name is not None and str(name).strip():
            value |= {"name": str(name), "color": _color(value.get("color"), str(name))}
            return
    elif isinstance(value, str) and value.strip():
        return
    raw["properties"].pop("classification", None)


def _color(color: Any, name: str) -> list[int]:
    """Colour as three numbers from 0 to 255, of a list, ``#rrggbb`` or a packed number; else one that fits the name."""
    if isinstance(color, str) and len(color.strip("#")) in (6, 8):
        try:
            color = int(color.strip("#")[:6], 16)
        except ValueError:
            color = None
    if isinstance(color, int) and not isinstance(color, bool):
        return [color >> shift & 255 for shift in (16, 8, 0)]
    if isinstance(color, list) and len(color) >= 3 and all(_finite(one) for one in color):
        scale = 255 if all(0 <= one <= 1 for one in color) and any(type(one) is float for one in color) else 1
        return [min(255, max(0, round(one * scale))) for one in color[:3]]
    if name in CLASSES.names:
        return list(CLASSES.colors[CLASSES.names.index(name)])
    return list(CLUSTERS.colors[zlib.crc32(name.encode()) % len(CLUSTERS.colors)])


def _measurements(raw: dict[str, Any]) -> None:
    value = raw["properties"].get("measurements")
    if isinstance(value, list):  # the form of early versions of QuPath
        named = [one for one in value if isinstance(one, dict) and isinstance(one.get("name"), str)]
        value = {one["name"]: one.get("value") for one in named}
    if isinstance(value, dict):
        numbers = {name: _number(one) for name, one in value.items()}
        raw["properties"]["measurements"] = {name: one for name, one in numbers.items() if one is not None}
    else:
        raw["properties"].pop("measurements", None)


def _number(value: Any) -> float | None:
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return number if _finite(number) else None


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


_STEPS: tuple[tuple[str, Callable[[dict[str, Any]], None]], ...] = (
    ("structure of features", _structure),
    ("null values left out", _nulls),
    ("object types", _object_type),
    ("nuclei moved beside their cells", _nucleus),
    ("classes and colours", _class),
    ("measurements", _measurements),
)
"""What is mended of a feature's properties, in this order."""

"""Checks of a feature's properties, one function a rule of `wsipsm.results.validate.rules`.

A function gives what it found, as a short text that may be empty, or None where the feature keeps the rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from types import NoneType
from typing import Any

from wsipsm.results.validate.feature import NUMBERS, OBJECT_TYPES, Feature

NOT_NULL = ("id", "properties", "geometry", "nucleusGeometry", "plane")
"""Keys of a feature that must not be null."""
PROPERTIES_NOT_NULL = ("name", "objectType", "object_type")
"""Properties that must not be null."""
READ = frozenset(
    {"objectType", "object_type", "type", "name", "color", "classification", "measurements", "isLocked", "metadata"}
    | {"isMissing", "nucleusGeometry"}
)
"""Properties that QuPath reads, or that another rule is about."""
_USUAL_CLASS = {"name", "color"}
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def usual_kind(feature: Feature) -> tuple[Any, ...] | None:
    """All that the rules look at, of a feature that has the usual parts; None: of another.

    Two features of one kind keep the same rules. It holds the keys, the types and the class; the id is a UUID, no value
    is null, and the measurements are finite numbers.
    """
    raw, properties = feature.raw, feature.properties
    if type(properties.get("measurements", {})) is not dict or type(raw.get("properties")) is not dict:
        return None
    class_ = _usual_class(feature.classification)
    if class_ is None or None in raw.values() or None in properties.values() or id_not_uuid(feature) is not None:
        return None
    if not feature.has_numbers or measurement_nan(feature) is not None:
        return None
    types = (raw.get("type"), feature.object_type)
    return (*raw, 0, *properties, 0, *types, *class_) if set(map(type, types)) <= {str, NoneType} else None


def _usual_class(value: Any) -> tuple[Any, ...] | None:
    """Name and colour of a classification that has nothing else, nothing of a missing one; None: it is unusual."""
    if value is None:
        return ()
    if type(value) is not dict or value.keys() != _USUAL_CLASS:
        return None
    name, color = value["name"], value["color"]
    return (name, *color) if type(name) is str and type(color) is list and _are_whole(color) else None


def not_a_feature(feature: Feature) -> str | None:
    """What stands in the place of ``Feature``."""
    kind = feature.raw.get("type")
    return None if kind == "Feature" else f"type {kind!r}"


def null(feature: Feature) -> str | None:
    """Keys that are null and must not be."""
    raw, properties = feature.raw, feature.properties
    if None not in raw.values() and None not in properties.values():
        return None
    keys = [key for key in NOT_NULL if raw.get(key, 0) is None]
    keys += [f"properties.{key}" for key in PROPERTIES_NOT_NULL if properties.get(key, 0) is None]
    return ", ".join(keys) or None


def properties_kind(feature: Feature) -> str | None:
    """What the properties are instead of an object."""
    value = feature.raw.get("properties", {})
    return None if value is None or isinstance(value, dict) else type(value).__name__


def type_misplaced(feature: Feature) -> str | None:
    """Object type that stands beside the properties."""
    return None if feature.type_key or "objectType" not in feature.raw else str(feature.raw["objectType"])


def type_missing(feature: Feature) -> str | None:
    """Nothing, where no object type is given at all."""
    given = feature.type_key or "objectType" in feature.raw
    return None if given or not isinstance(feature.raw.get("properties", {}), dict) else ""


def type_unknown(feature: Feature) -> str | None:
    """Object type that QuPath does not know."""
    value, key = feature.object_type, feature.type_key
    return None if not key or key == "type" or value is None or _known(value) else f"{key} {value!r}"


def free_type(feature: Feature) -> str | None:
    """Property ``type`` that QuPath takes for an object type."""
    return None if feature.type_key != "type" or _known(feature.object_type) else f"type {feature.object_type!r}"


def _known(value: Any) -> bool:
    return isinstance(value, str) and value in OBJECT_TYPES


def id_missing(feature: Feature) -> str | None:
    """Nothing, where there is no id."""
    return None if "id" in feature.raw else ""


def id_not_uuid(feature: Feature) -> str | None:
    """Id that is no UUID."""
    value = feature.raw.get("id")
    return None if value is None or (isinstance(value, str) and UUID.fullmatch(value)) else repr(value)


def class_kind(feature: Feature) -> str | None:
    """What the classification is instead of an object or a name."""
    value = feature.classification
    return None if value is None or isinstance(value, dict | str) else type(value).__name__


def class_blank(feature: Feature) -> str | None:
    """Name of a class that is blank."""
    name = feature.class_name
    return repr(name) if isinstance(name, str) and not name.strip() else None


def class_without_name(feature: Feature) -> str | None:
    """Keys of a classification without a name."""
    value = feature.classification
    named = not isinstance(value, dict) or value.get("names") or isinstance(value.get("name"), str)
    return None if named else f"keys {sorted(value)}"


def class_without_color(feature: Feature) -> str | None:
    """Name of a class without a colour."""
    value = feature.classification
    return None if not isinstance(value, dict) or value.get("color") is not None else repr(feature.class_name)


def color_kind(feature: Feature) -> str | None:
    """Colour that is not three whole numbers."""
    color = _color(feature)
    return None if color is None or (_are_whole(color) and len(color) == 3) else repr(color)


def color_range(feature: Feature) -> str | None:
    """Colour with a number outside 0 to 255."""
    color = _color(feature)
    return repr(color) if _are_whole(color) and color and not 0 <= min(color) <= max(color) <= 255 else None


def _are_whole(color: Any) -> bool:
    return isinstance(color, list) and set(map(type, color)) <= {int}


def _color(feature: Feature) -> Any:
    return feature.classification.get("color") if isinstance(feature.classification, dict) else None


def good_color(feature: Feature) -> Any:
    """Colour of its class where it is a good one, else None."""
    color = _color(feature)
    return color if isinstance(color, list) and color_kind(feature) is None and color_range(feature) is None else None


def class_derived(feature: Feature) -> str | None:
    """Name of a class that QuPath splits."""
    name = feature.class_name
    return name if isinstance(name, str) and ": " in name else None


def measurements_kind(feature: Feature) -> str | None:
    """What the measurements are instead of an object."""
    value = feature.properties.get("measurements")
    return None if value is None or isinstance(value, dict | list) else type(value).__name__


def measurement_no_number(feature: Feature) -> str | None:
    """First measurement that is no number."""
    for name, value in _others(feature):
        if type(value) not in NUMBERS and not (value is None or _is_number(value)):
            return f"{name}: {value!r}"
    return None


def measurement_text(feature: Feature) -> str | None:
    """First measurement whose number is written as text."""
    for name, value in _others(feature):
        if isinstance(value, str) and _is_number(value):
            return f"{name}: {value!r}"
    return None


def measurement_null(feature: Feature) -> str | None:
    """First measurement that is null."""
    return next((name for name, value in _others(feature) if value is None), None)


def measurement_nan(feature: Feature) -> str | None:
    """First measurement that is not finite."""
    if feature.has_numbers and math.isfinite(sum(feature.measurements.values())):
        return None
    for name, value in feature.measurements.items():
        if type(value) is float and not math.isfinite(value):
            return f"{name}: {value}"
    return None


def _others(feature: Feature) -> Iterable[tuple[str, Any]]:
    """Measurements, unless all are numbers."""
    return () if feature.has_numbers else feature.measurements.items()


def _is_number(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return value.strip() != ""


def nucleus_misplaced(feature: Feature) -> str | None:
    """Nothing, where the outline of a nucleus stands in the properties."""
    return "" if "nucleusGeometry" in feature.properties else None


def nucleus_unread(feature: Feature) -> str | None:
    """Object type whose nucleus is not read."""
    there = feature.raw.get("nucleusGeometry") is not None
    return f"{feature.object_type}" if there and feature.object_type != "cell" else None


def unread(feature: Feature) -> str | None:
    """Properties that QuPath does not show."""
    return ", ".join(sorted(feature.properties.keys() - READ)) or None

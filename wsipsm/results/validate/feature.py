"""One feature of a GeoJSON file, looked at as QuPath's importer does."""

from __future__ import annotations

import json
from typing import Any

import orjson

OBJECT_TYPES = frozenset({"detection", "annotation", "cell", "tile", "tma_core", "root"})
"""What QuPath knows, exactly so written."""
NUMBERS = {int, float}
"""Types of numbers in JSON."""
TYPE_KEYS = ("objectType", "object_type", "type")
"""Properties that QuPath takes the object type from, the first that is there."""


class Feature:
    """A parsed feature.

    Parameters
    ----------
    raw : object
        What the file holds in the place of a feature.

    Attributes
    ----------
    raw, properties : dict
        The feature and its properties; empty where they are no objects.
    type_key : str
        Property that QuPath takes the object type from; empty if there is none.
    object_type : object
        Its value, else None.
    classification : object
        As the file holds it, else None.
    measurements : dict
        By name; empty where they are no object.
    has_numbers : bool
        Whether all measurements are numbers.
    """

    __slots__ = ("classification", "has_numbers", "measurements", "object_type", "properties", "raw", "type_key")

    def __init__(self, raw: Any) -> None:
        self.raw: dict[str, Any] = raw if isinstance(raw, dict) else {}
        properties = self.raw.get("properties")
        self.properties: dict[str, Any] = properties if isinstance(properties, dict) else {}
        self.type_key = next((key for key in TYPE_KEYS if key in self.properties), "")
        self.object_type: Any = self.properties.get(self.type_key)
        self.classification: Any = self.properties.get("classification")
        measurements = self.properties.get("measurements")
        self.measurements: dict[str, Any] = measurements if isinstance(measurements, dict) else {}
        self.has_numbers = set(map(type, self.measurements.values())) <= NUMBERS

    @property
    def id(self) -> str:
        """Its id as text; empty where it has none."""
        value = self.raw.get("id")
        return "" if value is None else str(value)

    @property
    def class_name(self) -> Any:
        """Name of its class as the file holds it; None where it has none."""
        return self.classification.get("name") if isinstance(self.classification, dict) else self.classification


def parse_feature(text: bytes) -> Any:
    """Content of a feature's JSON; ``NaN`` and ``Infinity`` are numbers, as for QuPath.

    Raises
    ------
    ValueError
        It is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)

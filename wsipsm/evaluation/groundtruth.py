"""Reads objects from files: Aperio XML as in MoNuSeg, GeoJSON as of QuPath, label images."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import orjson
import shapely
from PIL import Image as PillowImage
from scipy import ndimage as ndi

from wsipsm.core.errors import EvaluationError, RegionError, short_reason
from wsipsm.evaluation.overlap import check_labels
from wsipsm.evaluation.rasterise import Convention, Outlines
from wsipsm.slide.annotations import read_regions

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
GEOJSON_SUFFIXES = (".geojson", ".geojson.gz", ".json")
XML_SUFFIXES = (".xml",)
SUFFIXES = (*IMAGE_SUFFIXES, *GEOJSON_SUFFIXES, *XML_SUFFIXES)

Objects = npt.NDArray[Any] | Outlines
"""Objects of one image: label image (H, W) or outlines."""


def suffix_of(path: Path, suffixes: Sequence[str] = SUFFIXES) -> str:
    """Longest of some suffixes that a file's name ends with; empty if there is none."""
    name = path.name.lower()
    return max((suffix for suffix in suffixes if name.endswith(suffix)), key=len, default="")


def stem_of(path: Path, suffixes: Sequence[str] = SUFFIXES) -> str:
    """Name of a file without its suffix; ``.geojson.gz`` counts as one."""
    return path.name[: len(path.name) - len(suffix_of(path, suffixes))]


def read_objects(path: Path, *, xml_convention: Convention = "vertex") -> Objects:
    """Objects of a file of any supported format.

    Parameters
    ----------
    path : Path
        A file with one of ``SUFFIXES``.
    xml_convention : str
        Pixel convention of outlines in XML files; that of GeoJSON is always ``centre``.

    Raises
    ------
    EvaluationError
        The file cannot be read or has other content.
    """
    suffix = suffix_of(path)
    if suffix in XML_SUFFIXES:
        return Outlines(read_xml(path), xml_convention)
    if suffix in GEOJSON_SUFFIXES:
        return Outlines(read_geojson(path))
    return read_label_image(path)


def read_label_image(path: Path) -> npt.NDArray[Any]:
    """Label image of a PNG, TIFF or NumPy file; (H, W) int.

    Raises
    ------
    EvaluationError
        It cannot be read, or is a colour image, a mask or not of integers.
    """
    labels = read_pixels(path)
    if labels.ndim == 3 and labels.shape[2] in (3, 4):
        raise EvaluationError(f"{path}: not a label image: it is an RGB image; expected one integer a pixel")
    check_labels(path, labels)
    if labels.dtype == np.uint8 and set(np.unique(labels)) == {0, 255} and ndi.label(labels)[1] > 1:
        raise EvaluationError(f"{path}: a mask of 0 and 255, not a label image; expected a label an object")
    return labels


def read_pixels(path: Path) -> npt.NDArray[Any]:
    """Array of a PNG, TIFF, JPEG or NumPy file.

    Raises
    ------
    EvaluationError
        It cannot be read.
    """
    try:
        if path.suffix.lower() == ".npy":
            array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
            return array
        with PillowImage.open(path) as image:
            return np.asarray(image)
    except Exception as error:  # the libraries behind it raise exceptions of any class on a damaged file
        raise EvaluationError(f"{path}: cannot be read as an image: {short_reason(error)}") from None


def read_geojson(path: Path) -> list[shapely.Polygon | shapely.MultiPolygon]:
    """Polygons of a GeoJSON file in the frame of the file; none for a collection without features.

    Raises
    ------
    EvaluationError
        The file cannot be read, is not GeoJSON, or has objects without an area.
    """
    try:
        return list(read_regions(path))
    except RegionError as error:
        if _is_empty_collection(path):
            return []
        raise EvaluationError(str(error)) from None


def _is_empty_collection(path: Path) -> bool:
    try:
        raw = path.read_bytes()
        table = orjson.loads(gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw)
    except (OSError, EOFError, ValueError):
        return False
    return table == [] or (isinstance(table, dict) and table.get("features") == [])


def read_xml(path: Path) -> list[shapely.Polygon | shapely.MultiPolygon]:
    """Polygons of an Aperio XML file, ``Annotations/Annotation/Regions/Region/Vertices/Vertex`` with ``X`` and ``Y``.

    In level-0 px, in the order of the file. Regions of fewer than three vertices, which occur in MoNuSeg, and those
    marked ``NegativeROA`` are left out.

    Raises
    ------
    EvaluationError
        The file cannot be read or is not an Aperio annotation file.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read: {error.strerror}") from None
    except ElementTree.ParseError as error:
        raise EvaluationError(f"{path}: not XML: {error}") from None
    if root.tag != "Annotations" or (len(root) and root.find("Annotation") is None):
        raise EvaluationError(
            f"{path}: not an Aperio annotation file: the root is <{root.tag}>, expected <Annotations> with <Annotation>"
        )
    polygons: list[shapely.Polygon | shapely.MultiPolygon] = []
    for region in root.iterfind("Annotation/Regions/Region"):
        vertices = _vertices(region, path)
        if len(vertices) >= 3 and region.get("NegativeROA", "0") != "1":
            polygons.append(shapely.Polygon(vertices))
    return polygons


def _vertices(region: ElementTree.Element, path: Path) -> list[tuple[float, float]]:
    try:
        found = [(float(one.attrib["X"]), float(one.attrib["Y"])) for one in region.iterfind("Vertices/Vertex")]
    except (KeyError, ValueError):
        found = [(np.nan, np.nan)]
    if not np.isfinite(found).all():
        raise EvaluationError(f"{path}: region {region.get('Id')}: a vertex without two finite numbers X and Y")
    return found

"""Objects from files: Aperio XML as MoNuSeg has it, GeoJSON as QuPath writes it, label images."""

from __future__ import annotations

import gzip
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
from wsipsm.evaluation.rasterise import Convention, Outlines
from wsipsm.slide.annotations import read_regions

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
GEOJSON_SUFFIXES = (".geojson", ".geojson.gz", ".json")
XML_SUFFIXES = (".xml",)
SUFFIXES = (*IMAGE_SUFFIXES, *GEOJSON_SUFFIXES, *XML_SUFFIXES)

Objects = npt.NDArray[Any] | Outlines
"""Objects of one image: a label image (H, W), or outlines."""


def suffix_of(path: Path) -> str:
    """The suffix out of ``SUFFIXES`` that a file's name ends with, or nothing."""
    name = path.name.lower()
    return max((suffix for suffix in SUFFIXES if name.endswith(suffix)), key=len, default="")


def stem_of(path: Path) -> str:
    """Name of a file without its suffix, ``.geojson.gz`` being one."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def read_objects(path: Path, *, xml_convention: Convention = "vertex") -> Objects:
    """Objects of a file of any kind.

    Parameters
    ----------
    path : Path
        A file with one of ``SUFFIXES``.
    xml_convention : str
        Which pixels an outline of an XML file covers; GeoJSON is always ``centre``.

    Raises
    ------
    EvaluationError
        The file cannot be read or holds something else.
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
        It cannot be read, is a colour image, a mask, or holds no integers.
    """
    try:
        labels = _read_array(path)
    except Exception as error:  # the libraries behind it raise what they like on a damaged file
        raise EvaluationError(f"{path}: cannot be read as a label image: {short_reason(error)}") from None
    if labels.ndim == 3 and labels.shape[2] in (3, 4):
        raise EvaluationError(f"{path}: not a label image: it is an RGB image; expected one integer a pixel")
    if labels.ndim != 2:
        raise EvaluationError(f"{path}: not a label image: shape {labels.shape}, expected (height, width)")
    if not np.issubdtype(labels.dtype, np.integer):
        raise EvaluationError(f"{path}: not a label image: {labels.dtype} values, expected integers, 0 as background")
    if labels.size and labels.min() < 0:
        raise EvaluationError(f"{path}: not a label image: a label is {labels.min()}, expected 0 or more")
    if labels.dtype == np.uint8 and set(np.unique(labels)) == {0, 255} and ndi.label(labels)[1] > 1:
        raise EvaluationError(f"{path}: a mask of 0 and 255, not a label image; expected a label an object")
    return labels


def _read_array(path: Path) -> npt.NDArray[Any]:
    if path.suffix.lower() == ".npy":
        array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    with PillowImage.open(path) as image:
        return np.asarray(image)


def read_geojson(path: Path) -> list[shapely.Polygon | shapely.MultiPolygon]:
    """Polygons of a GeoJSON file in its own frame; a collection without a feature has none.

    Raises
    ------
    EvaluationError
        The file cannot be read, is no GeoJSON, or holds objects without an area.
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

    Level-0 px; every region of every annotation, in the order of the file. Regions of fewer than three vertices, which
    MoNuSeg has, and those marked ``NegativeROA`` are left out.

    Raises
    ------
    EvaluationError
        The file cannot be read or is not Aperio's.
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

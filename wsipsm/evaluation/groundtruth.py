"""Reads objects from files: Aperio XML as in MoNuSeg, GeoJSON as of QuPath, label images."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image as PillowImage
from scipy import ndimage as ndi

from wsipsm.core.errors import EvaluationError, RegionError, short_reason
from wsipsm.evaluation.overlap import check_labels
from wsipsm.evaluation.plausible import refuse_many_in_one, refuse_no_labels, without_frames
from wsipsm.evaluation.rasterise import Convention, Outlines
from wsipsm.slide.geojson import Area, Drawn, areas_of, counted, is_json_member, read_drawn

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
GEOJSON_SUFFIXES = (".geojson", ".geojson.gz", ".geojson.zip", ".json", ".json.gz", ".json.zip", ".gz", ".zip")
XML_SUFFIXES = (".xml",)
SUFFIXES = (*IMAGE_SUFFIXES, *GEOJSON_SUFFIXES, *XML_SUFFIXES)

Objects = npt.NDArray[Any] | Outlines
"""Objects of one image: label image (H, W) or outlines."""


def suffix_of(path: Path, suffixes: Sequence[str] = SUFFIXES) -> str:
    """Longest of some suffixes that a file's name ends with; empty if there is none."""
    name = path.name.lower()
    return max((suffix for suffix in suffixes if name.endswith(suffix)), key=len, default="")


def holds_objects(path: Path, suffixes: Sequence[str] = SUFFIXES) -> bool:
    """Whether a file is one of objects: by its name, a zip by the names in it."""
    if path.suffix.lower() != ".zip" or ".zip" not in suffixes:
        return bool(suffix_of(path, suffixes)) and not path.name.lower().endswith((".tar.gz", ".csv.gz"))
    try:
        with zipfile.ZipFile(path) as archive:
            return any(map(is_json_member, archive.namelist()))
    except (OSError, zipfile.BadZipFile):
        return False


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
        return _plausible(path, Outlines(read_xml(path), xml_convention))
    if suffix in GEOJSON_SUFFIXES:
        return _plausible(path, read_geojson(path))
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
    refuse_no_labels(path, labels)
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


def read_geojson(path: Path) -> Outlines:
    """Objects of a GeoJSON file in the frame of the file; none for a collection without features.

    Of an export of QuPath's, detections and the nuclei of cells are the objects; only where there are none, the
    annotations are. Objects of a class that ends in ``*``, which QuPath ignores, are left out.

    Raises
    ------
    EvaluationError
        The file cannot be read, is not GeoJSON, or has objects of which none has an area.
    """
    try:
        drawn = read_drawn(path)
    except RegionError as error:
        raise EvaluationError(str(error)) from None
    kinds = {one.kind for one in drawn}
    wanted = {"detection", "cell"} if kinds & {"detection", "cell"} else {"annotation", ""}
    polygons, passed = list[Area](), list[str]()
    for one in drawn:
        found, reason = _object_of(one, wanted)
        polygons.extend(found)
        if not found:
            passed.append(reason)
    if drawn and not polygons:
        raise EvaluationError(f"{path}: holds no area ({counted(passed)}); expected an outline an object")
    note = f"{counted(passed)} passed over" if passed else ""
    return Outlines(polygons, from_qupath=bool(kinds - {""}), note=note)


def _object_of(one: Drawn, wanted: set[str]) -> tuple[list[Area], str]:
    """Outline of an object, or why it is none."""
    if one.kind not in wanted and one.geometry is not None:
        return [], one.kind or "outline without a type"
    if one.ignored:
        return [], f"object of class {one.class_name}"
    if one.kind == "cell" and one.nucleus is None:
        return [], "cell without a nucleus"
    return areas_of(one.nucleus if one.kind == "cell" else one.geometry), one.shape_name


def _plausible(path: Path, outlines: Outlines) -> Outlines:
    """Outlines without those around many others.

    Raises
    ------
    EvaluationError
        One outline is many objects.
    """
    refuse_many_in_one(path, outlines.polygons)
    kept = without_frames(outlines.polygons)
    frames = len(outlines.polygons) - len(kept)
    if not frames:
        return outlines
    note = f"{counted(['outline around many others'] * frames)} left out"
    notes = [one for one in (outlines.note, note) if one]
    return replace(outlines, polygons=[outlines.polygons[index] for index in kept], note="; ".join(notes))


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

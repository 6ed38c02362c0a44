"""Reads points from files: CSV, GeoJSON as of QuPath, JSON of SHIDC-B-Ki-67, HDF5 of BCData."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import shapely
from scipy import ndimage as ndi

from wsipsm.core.errors import EvaluationError, ExtraError, RegionError, short_reason
from wsipsm.evaluation.groundtruth import GEOJSON_SUFFIXES, read_label_image
from wsipsm.evaluation.points import Points, make_points
from wsipsm.slide.geojson import Drawn, load_json, read_drawn
from wsipsm.slide.paths import SUFFIXES as IMAGE_SUFFIXES

CSV_SUFFIXES = (".csv",)
HDF5_SUFFIXES = (".h5", ".hdf5")
POINT_SUFFIXES = (*CSV_SUFFIXES, *GEOJSON_SUFFIXES)
"""Files that hold all points of an image. Those of BCData hold one class each and lie in a folder named after it."""

SHIDC_CLASSES = {1: "Positive", 2: "Negative", 3: "Lymphocyte"}
"""Names of the numbers of classes in SHIDC-B-Ki-67."""

OTHER_IMAGE = ("image", "slide")
"""Columns of a CSV file that name the image of a point."""

_Rows = tuple[list[tuple[float, float]], list[str]]


def read_points(path: Path) -> Points:
    """Points of a JSON or GeoJSON file, in the frame of the file; of polygons the centroids, of cells their nuclei's.

    Raises
    ------
    EvaluationError
        The file cannot be read or holds something else.
    """
    expected = "expected GeoJSON, or a list of objects with x, y and label_id"
    try:
        table = load_json(path)
        drawn = [] if is_shidc(table) else read_drawn(path)
        xy, names = _shidc_rows(table) if is_shidc(table) else _geojson_rows(drawn)
    except RegionError as error:
        raise EvaluationError(f"{error}; {expected}") from None
    except (ValueError, TypeError, LookupError) as error:
        raise EvaluationError(f"{path}: not points: {short_reason(error)}; {expected}") from None
    if not np.isfinite(np.array(xy, float)).all():
        raise EvaluationError(f"{path}: a coordinate is not a finite number")
    return replace(make_points(xy, names), from_qupath=any(one.kind for one in drawn))


def read_label_points(path: Path) -> Points:
    """Centroids of the objects of a label image, without classes; the first pixel covers [0, 1) x [0, 1).

    Raises
    ------
    EvaluationError
        It cannot be read, or is no label image.
    """
    labels = read_label_image(path)
    numbers = np.setdiff1d(labels, [0])
    yx = np.array(ndi.center_of_mass(labels > 0, labels, numbers)).reshape(-1, 2) + 0.5
    return make_points(yx[:, ::-1], [""] * len(yx))


def is_shidc(table: Any) -> bool:
    """Whether the content of a JSON file is a list of points as in SHIDC-B-Ki-67."""
    return isinstance(table, list) and bool(table) and all(isinstance(one, dict) and "label_id" in one for one in table)


def _shidc_rows(table: list[dict[str, Any]]) -> _Rows:
    xy = [(float(one["x"]), float(one["y"])) for one in table]
    return xy, [SHIDC_CLASSES.get(one["label_id"], f"label_id {one['label_id']}") for one in table]


def _geojson_rows(drawn: list[Drawn]) -> _Rows:
    xy: list[tuple[float, float]] = []
    names: list[str] = []
    for one in drawn:
        shape = one.nucleus or one.geometry
        found = _positions(shape) if shape is not None else []
        xy += found
        names += [one.class_name] * len(found)
    return xy, names


def _positions(geometry: shapely.Geometry) -> list[tuple[float, float]]:
    if isinstance(geometry, shapely.Polygon | shapely.MultiPolygon):
        geometry = geometry.centroid
    if not isinstance(geometry, shapely.Point | shapely.MultiPoint):
        raise ValueError(f"a {type(geometry).__name__} is neither a point nor a polygon")
    return [(float(x), float(y)) for x, y in shapely.get_coordinates(geometry)]


def read_csv(path: Path) -> dict[str, Points]:
    """Points of a CSV file by image.

    Columns ``x`` and ``y``, in any order and case; ``class``, without which no point has a class; ``image`` or
    ``slide``, with which the file holds several images. A row that names an image and nothing else says that the
    image has no point.

    Returns
    -------
    dict of str to Points
        By the stem of the image's name; of a file of one image the key is empty.

    Raises
    ------
    EvaluationError
        The file cannot be read, lacks a column, or a row has no two finite numbers.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path}: cannot be read as CSV: {short_reason(error)}") from None
    headings = [heading.strip().lower() for heading in rows[0]] if rows else []
    if not {"x", "y"} <= set(headings):
        raise EvaluationError(
            f"{path}: expected the columns x, y and class, and image where it holds several; got "
            f"{', '.join(headings) or 'none'}"
        )
    images: dict[str, _Rows] = {} if set(headings) & set(OTHER_IMAGE) else {"": ([], [])}
    for number, cells in enumerate(rows[1:], 2):
        if any(cells):
            _add(images, dict(zip(headings, map(str.strip, cells), strict=False)), f"{path}: line {number}")
    return {name: make_points(xy, names) for name, (xy, names) in images.items()}


def _add(images: dict[str, _Rows], row: dict[str, str], where: str) -> None:
    """Add one row of a CSV file to the points of its image."""
    name = next((row[column] for column in OTHER_IMAGE if column in row), "")
    if "" not in images and not name:
        raise EvaluationError(f"{where}: names no image")
    xy, names = images.setdefault(image_stem(name), ([], []))
    x, y = row.get("x", ""), row.get("y", "")
    if name and not x and not y:
        return
    try:
        place = (float(x), float(y))
    except ValueError:
        place = (np.nan, np.nan)
    if not np.isfinite(place).all():
        raise EvaluationError(f"{where}: expected two finite numbers x and y, got {x!r} and {y!r}")
    xy.append(place)
    names.append(row.get("class", ""))


def image_stem(name: str) -> str:
    """Name of an image without folders and the suffix of an image file.

    Examples
    --------
    >>> image_stem("slides/TCGA-A1.01.svs"), image_stem("TCGA-A1.01")
    ('TCGA-A1.01', 'TCGA-A1.01')
    """
    path = PurePath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def read_hdf5(paths: dict[str, Path]) -> Points:
    """Points of one image of BCData: a file for each class, with the data set ``coordinates`` (n, 2) as (x, y).

    Parameters
    ----------
    paths : dict of str to Path
        File of each class by its name.

    Raises
    ------
    ExtraError
        h5py is not installed.
    EvaluationError
        A file cannot be read or holds something else.
    """
    parts = {name: _coordinates(path) for name, path in paths.items()}
    names = [name for name, xy in parts.items() for _ in xy]
    return make_points(np.concatenate(list(parts.values())), names)


def _coordinates(path: Path) -> np.ndarray[Any, Any]:
    try:
        import h5py
    except ImportError:
        raise ExtraError("hdf5", "h5py", "or give the points as CSV: image, x, y, class") from None
    try:
        with h5py.File(path, "r") as file:
            xy = np.asarray(file["coordinates"][()], float)
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise EvaluationError(f"{path}: no data set coordinates can be read: {short_reason(error)}") from None
    if xy.size and (xy.ndim != 2 or xy.shape[1] != 2 or not np.isfinite(xy).all()):
        raise EvaluationError(f"{path}: coordinates of the shape {xy.shape}, expected (n, 2) finite numbers x and y")
    return xy.reshape(-1, 2)

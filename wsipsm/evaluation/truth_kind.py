"""Whether a ground truth is of points or of areas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import shapely

from wsipsm.core.errors import EvaluationError, RegionError
from wsipsm.evaluation.groundtruth import GEOJSON_SUFFIXES, SUFFIXES, suffix_of
from wsipsm.evaluation.point_files import CSV_SUFFIXES, HDF5_SUFFIXES, is_shidc
from wsipsm.evaluation.point_sources import hdf5_folder
from wsipsm.slide.geojson import areas_of, load_json, read_drawn

POINTS, AREAS = "points", "areas"


def is_of_points(truth: Path) -> bool:
    """Whether a truth, a file or a folder, is of points; that of empty files alone, or of none, is of areas.

    Raises
    ------
    EvaluationError
        It mixes points and areas, or is one file of BCData's, whose class only the folders say.
    """
    if suffix_of(truth, HDF5_SUFFIXES) and truth.is_file():
        raise EvaluationError(f"{truth}: holds one class; give the folder in which positive and negative lie")
    folder = hdf5_folder(truth)
    first = {} if folder is None else {POINTS: folder}
    for path in _files(truth):
        for kind in _kinds(path):
            first.setdefault(kind, path)
    if len(first) > 1:
        points, areas = first[POINTS], first[AREAS]
        both = f"{points} holds both" if points == areas else f"{points} holds points and {areas} areas"
        raise EvaluationError(f"the ground truth mixes points and areas: {both}; expected one of the two")
    return POINTS in first


def _files(truth: Path) -> list[Path]:
    paths = sorted(truth.iterdir()) if truth.is_dir() else [truth]
    return [one for one in paths if one.is_file() and not one.name.startswith(".")]


def _kinds(path: Path) -> set[str]:
    """What a file holds; nothing for one that is empty, of another format, or cannot be read."""
    if suffix_of(path, CSV_SUFFIXES):
        return {POINTS}
    if suffix_of(path, GEOJSON_SUFFIXES):
        try:
            kinds = set(_kinds_of_json(path))
            return {AREAS} if AREAS in kinds else kinds  # points beside areas are passed over, and that is said
        except (RegionError, ValueError, TypeError, LookupError, AttributeError):
            return set()
    return {AREAS} if suffix_of(path, SUFFIXES) else set()


def _kinds_of_json(path: Path) -> Iterator[str]:
    if is_shidc(load_json(path)):
        yield POINTS
        return
    for one in read_drawn(path):
        shape = one.nucleus or one.geometry
        if isinstance(shape, shapely.Point | shapely.MultiPoint):
            yield POINTS
        elif areas_of(shape):
            yield AREAS

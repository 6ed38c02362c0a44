"""Where points of images come from: files, folders and output folders of runs, by the name of the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from wsipsm.core.errors import EvaluationError, StoredResultsError
from wsipsm.evaluation.groundtruth import IMAGE_SUFFIXES, suffix_of
from wsipsm.evaluation.pairing import find_files, find_predictions
from wsipsm.evaluation.point_files import (
    CSV_SUFFIXES,
    HDF5_SUFFIXES,
    POINT_SUFFIXES,
    read_csv,
    read_hdf5,
    read_label_points,
    read_points,
)
from wsipsm.evaluation.points import Points, make_points
from wsipsm.evaluation.predictions import finished_record, is_slide_folder, run_record

HDF5_CLASSES = ("positive", "negative")
"""Folders of BCData, one a class."""


@dataclass(frozen=True, slots=True)
class Source:
    """Points of one image, not yet read.

    Attributes
    ----------
    path : Path
        File or slide folder.
    read : callable
        Gives the points, in pixels of the image.
    mpp : float or None
        Micrometres per pixel of the image, of the output of a run.
    qupath_origin : (float, float)
        Where QuPath's frame begins in level-0 px, of the output of a run.
    """

    path: Path
    read: Callable[[], Points]
    mpp: float | None = None
    qupath_origin: tuple[float, float] = (0, 0)


def true_sources(path: Path) -> dict[str, Source]:
    """Truths by name: a file, the files of a folder, or the folder of BCData with a folder for each class.

    Raises
    ------
    EvaluationError
        There is none, or two have one name.
    """
    return _hdf5_sources(path) or _file_sources(find_files(path, "ground truth", POINT_SUFFIXES))


def predicted_sources(path: Path) -> dict[str, Source]:
    """Predictions by name: slide folders of the output folder of a run, files as of `true_sources`, or label images.

    Of label images the centroids are taken, where there are no files of points.

    Raises
    ------
    EvaluationError
        There is none, or two have one name.
    """
    return _hdf5_sources(path) or _file_sources(find_predictions(path, _suffixes_in(path)))


def _suffixes_in(path: Path) -> tuple[str, ...]:
    """Suffixes of files of points; where a folder has none of them, those of label images too."""
    if path.is_dir() and any(suffix_of(one, POINT_SUFFIXES) for one in path.iterdir()):
        return POINT_SUFFIXES
    return (*POINT_SUFFIXES, *IMAGE_SUFFIXES)


def hdf5_folder(path: Path) -> Path | None:
    """Folder of BCData's points in or at a folder: it holds a folder ``positive`` or ``negative`` of HDF5 files."""
    for folder in (path, path / "annotations"):
        if any(suffix_of(one, HDF5_SUFFIXES) for name in HDF5_CLASSES for one in (folder / name).glob("*")):
            return folder
    return None


def _hdf5_sources(path: Path) -> dict[str, Source]:
    folder = hdf5_folder(path)
    if folder is None:
        return {}
    files = {name: find_files(folder / name, f"points of the class {name}", HDF5_SUFFIXES) for name in HDF5_CLASSES}
    positive, negative = (files[name].keys() for name in HDF5_CLASSES)
    if single := sorted(positive ^ negative):
        raise EvaluationError(
            f"{folder}: {single[0]} has no file in both {' and '.join(HDF5_CLASSES)}; an image without cells of a "
            "class needs an empty one"
        )
    sources = {}
    for stem in sorted(positive):
        paths = {name: files[name][stem] for name in HDF5_CLASSES}
        sources[stem] = Source(paths["positive"], partial(read_hdf5, paths))
    return sources


def _file_sources(paths: dict[str, Path]) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for stem, path in paths.items():
        for name, source in _sources_of(stem, path).items():
            if name in sources:
                raise EvaluationError(f"two tables of the image {name}: {sources[name].path} and {path}; keep one")
            sources[name] = source
    return sources


def _sources_of(stem: str, path: Path) -> dict[str, Source]:
    if path.is_dir():
        return {stem: Source(path, partial(_read_run, path), _mpp(path), _qupath_origin(path))}
    if suffix_of(path, IMAGE_SUFFIXES):
        return {stem: Source(path, partial(read_label_points, path))}
    if suffix_of(path, CSV_SUFFIXES):
        return {name or stem: Source(path, partial(_same, points)) for name, points in read_csv(path).items()}
    if not is_slide_folder(path.parent):
        return {stem: Source(path, partial(read_points, path))}
    return {stem: Source(path, partial(_read_export, path), _mpp(path.parent), _qupath_origin(path.parent))}


def _same(points: Points) -> Points:
    return points


def _mpp(folder: Path) -> float | None:
    found = run_record(folder)["slide"].get("mpp_l0")
    return None if found is None else float(found)


def _qupath_origin(folder: Path) -> tuple[float, float]:
    origins = run_record(folder)["origin_l0"]
    x, y = origins.get("qupath", origins["written"])
    return float(x), float(y)


def _read_run(folder: Path) -> Points:
    from wsipsm.results.formats.geoparquet import read_centroids

    status, path = finished_record(folder)["status"], folder / "cells.parquet"
    if not path.exists():
        if status == "empty":
            return make_points([], [])
        raise EvaluationError(f"{path} is missing; was the run finished, with geoparquet among output.formats?")
    try:
        return make_points(*read_centroids(path))
    except StoredResultsError as error:
        raise EvaluationError(str(error)) from None


def _read_export(path: Path) -> Points:
    """Points of GeoJSON beside the record of a run, moved by the origin in that record."""
    written = run_record(path.parent)["origin_l0"]["written"]
    return replace(read_points(path).moved(written), from_qupath=False)

"""Reads predictions: output folder of a run, label images, GeoJSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wsipsm.core.errors import EvaluationError
from wsipsm.evaluation.groundtruth import GEOJSON_SUFFIXES, Objects, read_objects, suffix_of
from wsipsm.evaluation.rasterise import Convention, Outlines

FINISHED = ("done", "empty")
"""Status in ``run.json`` of a slide with complete results."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted objects of one image.

    Attributes
    ----------
    objects : (h, w) int or Outlines
        Label image in its own pixels, or outlines in pixels of the image.
    shape : (int, int) or None
        Height and width of the image, if the prediction states them.
    downsample : float
        Pixels of the image per pixel of ``objects``.
    qupath_origin : (int, int)
        Origin (x, y) of the frame that QuPath shows, in pixels of the image.
    """

    objects: Objects
    shape: tuple[int, int] | None
    downsample: float = 1.0
    qupath_origin: tuple[int, int] = (0, 0)


def is_slide_folder(path: Path) -> bool:
    """Whether a folder is the output folder of one slide of ``wsipsm run``."""
    return (path / "run.json").is_file()


def slide_stem(folder: Path) -> str:
    """Stem of the slide's file; the name of the folder may have a hash appended."""
    return Path(run_record(folder)["slide"]["path"]).stem


def read_prediction(path: Path, *, outlines: bool = False, downsample: float = 1.0) -> Prediction:
    """Predicted objects.

    Parameters
    ----------
    path : Path
        Slide folder of ``wsipsm run``, or a file. GeoJSON beside a ``run.json`` is shifted by the origin in that
        record; other GeoJSON is taken in the frame of the truth.
    outlines : bool
        Of a slide folder, use the outlines in ``cells.parquet`` instead of the label image.
    downsample : float
        Image pixels per pixel of a label image; that of a run is in its record.

    Raises
    ------
    EvaluationError
        The prediction cannot be read or is incomplete.
    """
    if path.is_dir():
        return _read_run(path, outlines=outlines)
    objects = read_objects(path, xml_convention="centre")
    if isinstance(objects, Outlines):
        if suffix_of(path) in GEOJSON_SUFFIXES and is_slide_folder(path.parent):
            origins = run_record(path.parent)["origin_l0"]
            return Prediction(objects.moved(origins["written"]), None, qupath_origin=_qupath_origin(origins))
        return Prediction(objects, None)
    height, width = objects.shape
    return Prediction(objects, (round(height * downsample), round(width * downsample)), downsample)


def read_truth(path: Path, prediction: Prediction, *, xml_convention: Convention) -> Objects:
    """True objects in pixels of the image.

    What QuPath wrote lies in the frame that it shows, of which the record of the predicted run knows the origin.
    GeoJSON beside a ``run.json`` is shifted by the origin in that record.

    Parameters
    ----------
    path : Path
        Of any supported format.
    prediction : Prediction
        What the truth is compared with.
    xml_convention : {'vertex', 'centre'}
        Which pixels an outline of an XML file covers.

    Raises
    ------
    EvaluationError
        The truth cannot be read, or is none of single objects.
    """
    truth = read_objects(path, xml_convention=xml_convention)
    if not isinstance(truth, Outlines) or suffix_of(path) not in GEOJSON_SUFFIXES:
        return truth
    if is_slide_folder(path.parent):
        return truth.moved(run_record(path.parent)["origin_l0"]["written"])
    return truth.moved(prediction.qupath_origin) if truth.from_qupath else truth


def resample(labels: npt.NDArray[Any], shape: tuple[int, int], *, downsample: float) -> npt.NDArray[Any]:
    """Label image at another pixel size, by nearest neighbour.

    Pixel i of the result takes the pixel that its centre, (i + 0.5) / downsample, lies in; beyond the label image is
    background. Both planes have the same corner (0, 0).

    Parameters
    ----------
    labels : (h, w) int
        Label image.
    shape : (int, int)
        Height and width of the result.
    downsample : float
        Pixels of the result per pixel of ``labels``, in each direction.

    Examples
    --------
    >>> resample(np.array([[1, 2]]), (2, 4), downsample=2)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2]])
    """
    rows, columns = (((np.arange(side) + 0.5) / downsample).astype(np.int64) for side in shape)
    rows, columns = rows[rows < labels.shape[0]], columns[columns < labels.shape[1]]
    result = np.zeros(shape, labels.dtype)
    result[: len(rows), : len(columns)] = labels[np.ix_(rows, columns)]
    return result


def _read_run(folder: Path, *, outlines: bool) -> Prediction:
    table = finished_record(folder)
    shape = (int(table["slide"]["height_l0"]), int(table["slide"]["width_l0"]))
    source = folder / ("cells.parquet" if outlines else "labels.ome.zarr")
    if not source.exists():
        if table["status"] == "empty":
            return Prediction(Outlines([]), shape)
        raise EvaluationError(
            f"{folder}: {source.name} is missing; was the run finished, with output.arrays=instances?"
        )
    origin = _qupath_origin(table["origin_l0"])
    if outlines:
        from wsipsm.results.formats.geoparquet import read_outlines

        return Prediction(Outlines(list(read_outlines(source))), shape, qupath_origin=origin)
    from wsipsm.results.formats.ome_zarr import read_labels

    labels, mpp = read_labels(source)
    return Prediction(labels, shape, mpp / table["grid"]["mpp"] * table["grid"]["downsample"], origin)


def _qupath_origin(origins: dict[str, Any]) -> tuple[int, int]:
    x, y = origins.get("qupath", origins["written"])
    return int(x), int(y)


def finished_record(folder: Path) -> dict[str, Any]:
    """As `run_record`; also an `EvaluationError` where the run did not come to its end."""
    table = run_record(folder)
    if table["status"] not in FINISHED:
        raise EvaluationError(f"{folder}: the run is {table['status']}, not done; run it again before scoring")
    return table


def run_record(folder: Path) -> dict[str, Any]:
    """Record of a run: content of ``run.json`` of a slide folder.

    Raises
    ------
    EvaluationError
        It is not there, or not the record of a run.
    """
    path = folder / "run.json"
    try:
        table: dict[str, Any] = orjson.loads(path.read_bytes())
        _ = table["status"], table["slide"]["path"], table["slide"]["width_l0"], table["origin_l0"]["written"]
        _ = table["grid"]["downsample"], table["grid"]["mpp"]
    except (OSError, ValueError, LookupError, TypeError):
        raise EvaluationError(f"{path}: not the record of a wsipsm run; expected the output folder of one") from None
    return table

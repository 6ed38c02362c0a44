"""Check of a label store: valid OME-NGFF 0.5, pyramids of labels, and one id for each cell of the table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import zarr

from wsipsm.core.errors import StoredResultsError, short_reason
from wsipsm.results.validate.label_rules import LABEL_RULES
from wsipsm.results.validate.report import Report

VERSION = "0.5"
AREA_TOLERANCE = 0.3
"""Part by which the area of an outline may differ from that of its pixels: it is smooth, and its holes are filled."""
AREAS = {"instances": "area_um2", "cells": "cell_area_um2"}
"""Column of the area of the objects of a label image."""
ROWS = 1 << 20
"""Rows of the table that are compared at a time."""
Ids = npt.NDArray[np.int64]
Areas = npt.NDArray[np.floating[Any]]


def check_labels(folder: Path, table: Path | None = None) -> Report:
    """Say whether a label store is valid and agrees with the cells.

    Parameters
    ----------
    folder : Path
        ``labels.ome.zarr``, or another OME-Zarr of labels.
    table : Path, optional
        ``cells.parquet`` of the same cells; by default the one beside the store, where there is one.

    Returns
    -------
    Report
        Its ``objects`` are the labels of ``instances``.

    Raises
    ------
    StoredResultsError
        The table cannot be read.
    """
    report = Report(folder, "labels")
    table = folder.parent / "cells.parquet" if table is None else table
    for name, image in _images(folder, report):
        arrays = _arrays(name, image, report)
        if arrays:
            counts = _levels(name, arrays, report)
            if name in AREAS and table.exists():
                _agree(counts, _scale(image), _cells(table, AREAS[name]), report)
    return report


def _images(folder: Path, report: Report) -> Iterator[tuple[str, zarr.Group]]:
    """Label images of a store by name; that of a store that is an image itself is ``instances``."""
    try:
        root = zarr.open_group(str(folder), mode="r")
        metadata: Any = root.attrs.asdict().get("ome")
    except (OSError, ValueError, KeyError) as error:
        report.add(LABEL_RULES["no_store"], short_reason(error))
        return
    if root.metadata.zarr_format != 3 or not isinstance(metadata, dict):
        report.add(LABEL_RULES["not_ngff"], f"Zarr {root.metadata.zarr_format}")
        return
    if metadata.get("version") != VERSION:
        report.add(LABEL_RULES["version"], str(metadata.get("version")))
    if "multiscales" in metadata:
        yield "instances", root
        return
    names = metadata.get("labels")
    if not isinstance(names, list) or not names:
        report.add(LABEL_RULES["labels_not_listed"], str(names))
        names = [name for name, _ in root.groups()]
    for name in names:
        if isinstance(found := root.get(str(name)), zarr.Group):
            yield str(name), found
        else:
            report.add(LABEL_RULES["label_missing"], str(name))


def _arrays(name: str, image: zarr.Group, report: Report) -> list[zarr.Array[Any]]:
    """Levels of an image, the finest first; what is wrong with its metadata is reported."""
    metadata: Any = image.attrs.asdict().get("ome", {})
    try:
        multiscale = metadata["multiscales"][0]
        axes, datasets = multiscale["axes"], multiscale["datasets"]
        names = [axis["name"] for axis in axes]
        levels: list[Any] = [image.get(dataset["path"]) for dataset in datasets]
    except (LookupError, TypeError) as error:
        report.add(LABEL_RULES["multiscales"], f"{name}: {error!r}")
        return []
    if metadata.get("version") != VERSION:
        report.add(LABEL_RULES["version"], f"{name}: {metadata.get('version')}")
    if names[-2:] != ["y", "x"] or not all(axis.get("type") == "space" for axis in axes[-2:]):
        report.add(LABEL_RULES["axes"], f"{name}: {names}")
    elif not all(axis.get("unit") for axis in axes[-2:]):
        report.add(LABEL_RULES["unit"], name)
    if not datasets:
        report.add(LABEL_RULES["multiscales"], f"{name}: no dataset")
    _image_label(name, metadata, report)
    return [
        array
        for array, dataset in zip(levels, datasets, strict=True)
        if _is_level(f"{name}/{dataset['path']}", array, dataset, names, report)
    ]


def _is_level(place: str, array: Any, dataset: Any, axes: list[str], report: Report) -> bool:
    if not isinstance(array, zarr.Array):
        report.add(LABEL_RULES["level_missing"], place)
        return False
    scales = [one for one in dataset.get("coordinateTransformations", []) if one.get("type") == "scale"]
    if len(scales) != 1 or len(scales[0]["scale"]) != array.ndim or not all(one > 0 for one in scales[0]["scale"]):
        report.add(LABEL_RULES["scale"], place)
    if list(getattr(array.metadata, "dimension_names", None) or []) != axes:
        report.add(LABEL_RULES["dimension_names"], place)
    if array.dtype.kind not in "iu":
        report.add(LABEL_RULES["dtype"], f"{place}: {array.dtype}")
        return False
    return array.ndim == 2


def _image_label(name: str, metadata: dict[str, Any], report: Report) -> None:
    label = metadata.get("image-label")
    if not isinstance(label, dict):
        report.add(LABEL_RULES["image_label"], name)
        return
    colors = label.get("colors", [])
    values = [one.get("label-value") for one in colors]
    if len(set(values)) < len(values):
        report.add(LABEL_RULES["colors"], f"{name}: a value twice")
    if not all(len(rgba := one.get("rgba", [0] * 4)) == 4 and all(0 <= c <= 255 for c in rgba) for one in colors):
        report.add(LABEL_RULES["colors"], f"{name}: rgba")


def _levels(name: str, arrays: list[zarr.Array[Any]], report: Report) -> Ids:
    """Look at the levels; pixels of each label at the finest one, (largest label + 1,)."""
    counts = _pixels(arrays[0])
    if name == "instances":
        report.objects = int(np.count_nonzero(counts[1:]))
    for fine, coarse, number in zip(arrays, arrays[1:], range(1, len(arrays)), strict=False):
        if not all(a > b > 0 for a, b in zip(fine.shape, coarse.shape, strict=True)):
            report.add(LABEL_RULES["pyramid"], f"{name}, level {number}: {coarse.shape} after {fine.shape}")
        found = np.flatnonzero(_pixels(coarse))
        strange = found[(found >= len(counts)) | (counts[np.minimum(found, len(counts) - 1)] == 0)]
        if len(strange):
            detail = f"{name}, level {number}: label {strange[0]}"
            report.add(LABEL_RULES["averaged"], detail, count=len(strange))
    return counts


def _pixels(array: zarr.Array[Any]) -> Ids:
    """Pixels of each label, read block by block; negative ones count as background."""
    counts = np.zeros(1, np.int64)
    height, width = (max(side, 1024) for side in (array.shards or array.chunks))
    for y in range(0, array.shape[0], height):
        for x in range(0, array.shape[1], width):
            block = np.asarray(array[y : y + height, x : x + width])
            labels = block[block > 0]
            counts[0] += block.size - labels.size
            if labels.size:
                counts = _counted(counts, labels)
    return counts


def _counted(counts: Ids, labels: npt.NDArray[np.integer[Any]]) -> Ids:
    """Counts with those of more labels; only the stretch from the smallest to the largest of these is gone through."""
    low = int(labels.min())
    more = np.bincount(labels - low)
    if (needed := low + len(more)) > len(counts):
        counts = np.concatenate([counts, np.zeros(max(needed, len(counts) * 5 // 4) - len(counts), np.int64)])
    counts[low:needed] += more
    return counts


def _scale(image: zarr.Group) -> float:
    metadata: Any = image.attrs.asdict()["ome"]
    scale = metadata["multiscales"][0]["datasets"][0]["coordinateTransformations"][0].get("scale", [0.0])
    return float(scale[-1])


def _agree(counts: Ids, mpp: float, cells: tuple[Ids, Areas], report: Report) -> None:
    """Compare the labels of an image with labels and areas (um2) of the table."""
    (labels, areas), twice = _once(*cells)
    if twice:
        report.add(LABEL_RULES["label_twice"], f"{twice} rows", count=twice)
    alone = counts > 0
    alone[0] = False
    alone[labels[(labels > 0) & (labels < len(counts))]] = False
    _lacking("label_without_cell", np.flatnonzero(alone), report)
    for start in range(0, len(labels), ROWS):
        some = labels[start : start + ROWS]
        inside = (some > 0) & (some < len(counts))
        pixels = np.where(inside, counts[np.where(inside, some, 0)], 0)
        _lacking("cell_without_label", some[pixels == 0], report)
        _compare_areas(some[pixels > 0], areas[start : start + ROWS][pixels > 0], pixels[pixels > 0] * mpp**2, report)


def _lacking(key: str, labels: Ids, report: Report) -> None:
    if len(labels):
        report.add(LABEL_RULES[key], f"label {labels[0]}", count=len(labels))


def _compare_areas(labels: Ids, areas: Areas, measured: Areas, report: Report) -> None:
    """Areas of outlines beside those of their pixels, um2; without a scale these are 0."""
    apart = (np.abs(areas - measured) > AREA_TOLERANCE * measured) & (measured > 0)
    if apart.any():
        detail = f"label {labels[apart][0]}: {areas[apart][0]:.2f} and {measured[apart][0]:.2f} um2"
        report.add(LABEL_RULES["area"], detail, count=int(apart.sum()))


def _once(labels: Ids, areas: Areas) -> tuple[tuple[Ids, Areas], int]:
    """Labels in ascending order, each once, with the first area of each; and how many rows repeat one."""
    if (labels[1:] > labels[:-1]).all():
        return (labels, areas), 0
    unique, first = np.unique(labels, return_index=True)
    return (unique, areas[first]), len(labels) - len(unique)


def _cells(table: Path, area: str) -> tuple[Ids, Areas]:
    """Labels and areas (um2) of the cells of a table, (N,) each."""
    try:
        columns = pq.read_table(table, columns=["label", area])
        return columns["label"].to_numpy().astype(np.int64, copy=False), columns[area].to_numpy()
    except (OSError, LookupError, ValueError) as error:
        raise StoredResultsError(f"{table}: cells cannot be read: {short_reason(error)}") from None

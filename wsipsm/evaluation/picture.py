"""A picture of what was hit and missed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Mask
from wsipsm.evaluation.metrics import matches
from wsipsm.evaluation.overlap import overlap

HIT, MISS, FALSE_ALARM = (0, 215, 80), (220, 30, 30), (255, 165, 0)
"""Outlines of true objects with a match, of those without, and of predicted ones without."""


def draw(
    truth: npt.NDArray[Any], found: npt.NDArray[Any], *, image: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Outlines of hits (green), misses (red) and false alarms (orange).

    Parameters
    ----------
    truth, found : (H, W) int
        Label images.
    image : (H, W, 3) uint8 or None
        What to draw on; white by default.

    Returns
    -------
    (H, W, 3) uint8
        The picture.
    """
    table = overlap(truth, found)
    hit, used = matches(table)
    canvas = np.full((*truth.shape, 3), 255, np.uint8) if image is None else image.copy()
    true_edge, found_edge = _edge(truth), _edge(found)
    canvas[found_edge & np.isin(found, table.found_labels[~used])] = FALSE_ALARM
    canvas[true_edge & np.isin(truth, table.true_labels[~hit])] = MISS
    canvas[true_edge & np.isin(truth, table.true_labels[hit])] = HIT
    return canvas


def write_picture(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write a picture as PNG, whole or not at all."""
    stream = io.BytesIO()
    PillowImage.fromarray(picture).save(stream, "PNG")
    write_bytes(path, stream.getvalue())


def _edge(labels: npt.NDArray[Any]) -> Mask:
    """Pixels of objects with a pixel of another label, or the border of the image, beside them; (H, W)."""
    padded = np.pad(labels, 1)
    edge = np.zeros(labels.shape, bool)
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        edge |= padded[rows : rows + labels.shape[0], columns : columns + labels.shape[1]] != labels
    return edge & (labels > 0)

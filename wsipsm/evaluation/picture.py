"""Picture of hits, misses and false alarms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.evaluation.metrics import matches
from wsipsm.evaluation.overlap import overlap
from wsipsm.results.draw import label_edges

HIT, MISS, FALSE_ALARM = (0, 215, 80), (220, 30, 30), (255, 165, 0)
"""Colours of the outlines of matched true objects, of other true ones, and of unmatched predicted ones."""


def draw(
    truth: npt.NDArray[Any], found: npt.NDArray[Any], *, image: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Draw the outlines of hits (green), misses (red) and false alarms (orange).

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
    true_edge, found_edge = (label_edges(labels, at_border=True) for labels in (truth, found))
    canvas[found_edge & np.isin(found, table.found_labels[~used])] = FALSE_ALARM
    canvas[true_edge & np.isin(truth, table.true_labels[~hit])] = MISS
    canvas[true_edge & np.isin(truth, table.true_labels[hit])] = HIT
    return canvas

"""Picture of matched and unmatched points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import EvaluationError
from wsipsm.core.geometry import Image
from wsipsm.evaluation.detection import wrong_class
from wsipsm.evaluation.matching import match
from wsipsm.evaluation.picture import FALSE_ALARM, HIT, MISS
from wsipsm.evaluation.points import Kind, Points
from wsipsm.results.draw import Color, outline

WRONG_CLASS: Color = (190, 60, 255)
"""Rings around true points that were found as of the other class."""

IGNORED: Color = (150, 150, 150)
"""Rings around true points that are ignored, and squares around what was found on them."""

MAX_PIXELS = 1_000_000_000
"""Larger pictures are refused."""

_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_RING = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)
_SQUARE = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def draw_points(truth: Points, found: Points, radius: float, *, image: Image | None = None) -> Image:
    """Draw hits (green), misses (red) and points of the wrong class (violet) as rings, false alarms as orange squares.

    Matched regardless of class; see `wsipsm.evaluation.detection.count` for ignored points.

    Parameters
    ----------
    truth, found : Points
        In pixels of the image.
    radius : float
        Greatest distance of a match, pixels.
    image : (H, W, 3) uint8 or None
        What to draw on; by default a white one that holds all points.
    """
    counted, size = truth.counted(), float(np.clip(radius / 2, 3, 12))
    canvas = _white([truth.xy, found.xy], size) if image is None else np.ascontiguousarray(image).copy()
    hits, used = match(counted.xy, found.xy, radius)
    wrong, _ = wrong_class(counted, found, radius)
    left, ignored = np.delete(found.xy, used, axis=0), truth.of(Kind.IGNORED)
    excused = match(ignored, left, radius)[1]
    for xy, shape, color in (
        (ignored, _RING, IGNORED),
        (left[excused], _SQUARE, IGNORED),
        (np.delete(left, excused, axis=0), _SQUARE, FALSE_ALARM),
        (np.delete(counted.xy, hits, axis=0), _RING, MISS),
        (counted.xy[np.setdiff1d(hits, wrong)], _RING, HIT),
        (counted.xy[wrong], _RING, WRONG_CLASS),
    ):
        for place in xy:
            outline(canvas, place + size * shape, color, thickness=2)
    return canvas


def _white(points: list[npt.NDArray[np.float64]], margin: float) -> Image:
    width, height = np.ceil(np.concatenate([*points, [[1.0, 1.0]]]).max(axis=0) + margin + 1).astype(int).tolist()
    if width * height > MAX_PIXELS:
        raise EvaluationError(f"a picture of {width} x {height} px is too large; evaluate without --picture")
    return np.full((height, width, 3), 255, np.uint8)

"""Finds truths that are no truths of single objects: frames around them, all in one, masks, labels cut to 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage as ndi

from wsipsm.core.errors import EvaluationError

MANY_INSIDE = 5
"""An outline around so many others is a frame, not an object."""
MANY_PARTS = 10
"""An object of so many separate parts is many objects."""
FAR_SHARE, FAR_LABELS = 0.05, 2
"""Share of labels, and number, from which on labels of parts far apart are a fault and no accident."""
_LEAST_PX = 5
"""Smaller parts are crumbs of an outline."""
_SPARSE, _LOOKED_AT = 0.1, 64
"""Share of its bounding box below which a label is looked at, and how many labels are."""


def without_frames(polygons: Sequence[shapely.Polygon | shapely.MultiPolygon]) -> list[int]:
    """Indices of the polygons that do not lie around `MANY_INSIDE` or more smaller ones.

    Examples
    --------
    >>> nuclei = [shapely.box(x, 2, x + 3, 5) for x in range(0, 50, 5)]
    >>> without_frames([*nuclei[:5], shapely.box(0, 0, 100, 9), *nuclei[5:]])
    [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    """
    shapes = np.array(polygons, object)
    area = shapely.area(shapes)
    inner, outer = shapely.STRtree(shapes).query(shapely.point_on_surface(shapes), predicate="within")
    inside = np.bincount(outer[area[inner] < area[outer]], minlength=len(shapes))
    return np.flatnonzero(inside < MANY_INSIDE).tolist()


def refuse_many_in_one(path: Path, polygons: Sequence[shapely.Polygon | shapely.MultiPolygon]) -> None:
    """Refuse an outline of many separate parts.

    Raises
    ------
    EvaluationError
        One has `MANY_PARTS` or more.
    """
    for number, polygon in enumerate(polygons, 1):
        if (parts := int((shapely.area(shapely.get_parts(polygon)) >= _LEAST_PX).sum())) >= MANY_PARTS:
            raise EvaluationError(
                f"{path}: object {number} has {parts} separate parts, expected one outline an object; in QuPath split "
                "it first: Objects > Annotations > Split annotations"
            )


def refuse_no_labels(path: Path, labels: npt.NDArray[Any]) -> None:
    """Refuse an image whose labels mark many objects each: a mask, a map of classes, labels cut to 8 bits.

    Parameters
    ----------
    path : Path
        The file, for the message.
    labels : (H, W) int
        Its pixels, not negative.

    Raises
    ------
    EvaluationError
        A label has `MANY_PARTS` parts or more, or many labels have parts that lie far apart.
    """
    small = _narrow(labels)
    boxes = {label: box for label, box in enumerate(ndi.find_objects(small), 1) if box is not None}
    if not boxes:
        return
    parts = [_parts(small[boxes[label]] == label) for label in _sparse(small, boxes)]
    most = max(map(len, parts))
    if most >= MANY_PARTS:
        raise EvaluationError(
            f"{path}: a label marks {most} separate parts: a mask or a map of classes, not a label image; expected a "
            "label an object"
        )
    far = sum(_far_apart(found) for found in parts)
    cut = labels.max() == 255 and len(boxes) > 200
    if far >= (1 if cut else max(FAR_LABELS, FAR_SHARE * len(boxes))):
        why = "they seem cut to 8 bits (the largest is 255): " if cut else ""
        raise EvaluationError(
            f"{path}: at least {far} of {len(boxes)} labels mark two objects far apart: {why}save "
            "them with 16 or 32 bits"
        )


def _narrow(labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """The same objects, with labels so small that SciPy's lists by label stay short."""
    if labels.max(initial=0) <= 1 << 20:
        return labels.astype(np.int32, copy=False)
    return np.searchsorted(np.union1d([0], labels), labels).astype(np.int32)


def _sparse(labels: npt.NDArray[np.int32], boxes: dict[int, tuple[slice, ...]]) -> list[int]:
    """Labels that fill little of their bounding box, the sparsest first, and that of the largest box."""
    names = np.array(list(boxes))
    sides = np.array([[side.stop - side.start for side in box] for box in boxes.values()])
    fill = np.bincount(labels.ravel())[names] / sides.prod(axis=1)
    sparse = [index for index in np.argsort(fill)[:_LOOKED_AT] if fill[index] < _SPARSE]
    return sorted({int(names[index]) for index in (*sparse, sides.prod(axis=1).argmax())})


def _parts(mask: npt.NDArray[np.bool_]) -> list[tuple[slice, ...]]:
    """Bounding boxes of the separate parts of a mask, crumbs left out, the largest first."""
    parts, _ = ndi.label(mask, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    boxes = ndi.find_objects(parts)
    return [boxes[index] for index in np.argsort(-sizes, kind="stable") if sizes[index] >= _LEAST_PX]


def _far_apart(parts: list[tuple[slice, ...]]) -> bool:
    """Whether the two largest parts are further apart than either is long."""
    if len(parts) < 2:
        return False
    one, other = parts[:2]
    gap = max(max(a.start, b.start) - min(a.stop, b.stop) for a, b in zip(one, other, strict=True))
    return bool(gap > max(side.stop - side.start for side in (*one, *other)))

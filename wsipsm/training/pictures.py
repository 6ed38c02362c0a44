"""Pictures of training fields, pseudo labels and predictions, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.geometry import Image, Labels
from wsipsm.results.draw import label_edges, png, viridis
from wsipsm.training.pseudo_labels import PseudoLabels

SHOWN_PX, SCALE = 160, 2
"""Side of the central part of a field that is shown, and its enlargement for outlines."""

_OUTLINE = (0, 255, 60)
_MASKED = np.array([70, 60, 220])


def panels(image: Image, pseudo: PseudoLabels, found: PseudoLabels | None) -> list[tuple[str, bytes]]:
    """Captions and PNG files of one field, in the order of the method's steps.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB.
    pseudo : PseudoLabels
        Pseudo labels.
    found : PseudoLabels, optional
        Output of the segmenter.
    """
    seen = _middle(image)
    shown = [("image", seen)]
    if pseudo.activation.size:
        shown.append(("activation map", viridis(np.divide(_middle(pseudo.activation), 255, dtype=np.float32))))
    shown.append(("pseudo mask", masked(seen, _middle(pseudo.probability))))
    shown.append(("pseudo labels", _middle(pseudo.labels)))
    if found is not None:
        shown.append(("nucleus probability", viridis(_middle(found.probability))))
        shown.append(("what the segmenter finds", _middle(found.labels)))
    return [(caption, png(plane if plane.ndim == 3 else drawn_on(seen, plane))) for caption, plane in shown]


def outlined(image: Image, labels: Labels) -> Image:
    """Image with the edge pixels of each instance in green."""
    drawn = image.copy()
    drawn[label_edges(labels)] = _OUTLINE
    return drawn


def drawn_on(image: Image, labels: Labels) -> Image:
    """Outlines on the enlarged image, so that they cover little of it."""
    return outlined(_enlarged(image), _enlarged(labels))


def masked(image: Image, probability: npt.NDArray[np.float32]) -> Image:
    """Grey image, tinted blue where the nucleus probability is at least 0.5, in proportion to it."""
    grey = image.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    share = np.where(probability >= 0.5, 0.25 + 0.5 * probability, 0.0)[..., None]
    return np.asarray(np.rint(grey * (1 - share) + _MASKED * share), np.uint8)


def spread(counts: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Choose at most ``most`` fields to show, as (slide, field): one of every slide before a second of any.

    Examples
    --------
    >>> spread([3, 1], 3)
    [(0, 0), (1, 0), (0, 1)]
    """
    order = [(field, slide) for slide, count in enumerate(counts) for field in range(count)]
    first = [slide for slide, count in enumerate(counts) if count]
    if len(first) > most:
        return [(first[int(i)], 0) for i in np.linspace(0, len(first) - 1, most).round()]
    return [(slide, field) for field, slide in sorted(order)[:most]]


def _middle(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    y, x = (max(0, (size - SHOWN_PX) // 2) for size in plane.shape[:2])
    return np.ascontiguousarray(plane[y : y + SHOWN_PX, x : x + SHOWN_PX])


def _enlarged(plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return plane.repeat(SCALE, 0).repeat(SCALE, 1)

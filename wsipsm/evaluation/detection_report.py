"""Report of an evaluation of points: JSON. See `wsipsm.evaluation.detection_table` for what is printed.

Schema of the JSON, ``schema`` 1::

    schema           1
    kind             points
    command          arguments of the command line, or null
    versions         wsipsm, Python, platform and packages
    settings         options, see ``evaluate.Settings``
    classes          whether both sides have points of the classes positive and negative
    images           [{name, group (where known), mpp, scores, index}], at the first radius
    pooled           [{radius_um, scores, interval}] for each radius, the one asked for first
    count_error      {positive, negative, all, interval}: mean over images of |found - true|; MP, MN and MA
    index            agreement of the percentage of positive cells, see ``agreement``; {interval} of its first two
    bootstrap        {resamples, seed}
    groups           group -> {images, scores} at the first radius; absent without groups
    unknown_classes  {truth, predictions}: name of a class -> points that counted without a class
    repeated         true points left out since they lie on another of their class
    ignored          true points that count neither way
    missing, unused  names of truths without a prediction, and of predictions without a truth

``scores``: ``positive``, ``negative``, ``mean`` of both, and ``detection`` regardless of class, each with precision,
recall and f1; all but mean with the counts hits, n_true and n_found; of an image or at the first radius ``wrong_class``
too, the matches regardless of class between a positive and a negative point. Of several images the counts are added up
first, so each cell has the same weight. Null is what is not defined: precision without a found point, recall and f1
without a true one. An image without positive cells therefore has no f1 of them, but its false alarms count in that of
all images. Where no predicted point, or no true one, has a class, all of the classes is null.

``interval``: 95 %, bootstrap over images; resamples that leave a measure undefined are left out; null with one image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.versions import versions
from wsipsm.evaluation import bootstrap
from wsipsm.evaluation.agreement import agreement, indices
from wsipsm.evaluation.detection import MEASURED, MEASURES, ROWS, Counts, measures, without_classes
from wsipsm.evaluation.evaluate import Settings
from wsipsm.evaluation.evaluate_points import PointScores, radii_um
from wsipsm.evaluation.pairing import Pairs
from wsipsm.evaluation.points import Kind

SCHEMA = 1

ERRORS = ("positive", "negative", "all")
INDEX = ("mean_absolute_error", "bias")
"""Figures of the index with an interval."""

_Floats = npt.NDArray[np.float64]


def make_point_report(
    images: Sequence[PointScores], pairs: Pairs, settings: Settings, *, groups: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Report of counted images, ready for JSON, in the schema above.

    Parameters
    ----------
    images : sequence of PointScores
        At least one.
    pairs, settings : Pairs, Settings
        Files compared, and options.
    groups : mapping or None
        Group of each image by name; images without an entry are in no group.
    """
    classes = _have_classes(images)
    counts = np.stack([image.counts for image in images])
    counts = counts if classes else without_classes(counts)
    report = {
        "schema": SCHEMA,
        "kind": "points",
        "command": None,
        "versions": versions(),
        "settings": {name: str(v) if isinstance(v, Path) else v for name, v in asdict(settings).items()},
        "classes": classes,
        "images": [_entry(one, table, groups or {}) for one, table in zip(images, counts[:, 0], strict=True)],
        **_summary(images, counts, radii_um(settings)),
        "bootstrap": {"resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED},
        "unknown_classes": {
            "truth": _total(image.truth.unknown for image in images),
            "predictions": _total(image.found.unknown for image in images),
        },
        "repeated": sum(image.truth.repeated for image in images),
        "ignored": sum(len(image.truth.of(Kind.IGNORED)) for image in images),
        "missing": list(pairs.missing),
        "unused": list(pairs.unused),
    }
    return report if groups is None else {**report, "groups": _groups(images, counts[:, 0], groups)}


def _have_classes(images: Sequence[PointScores]) -> bool:
    """Whether both sides tell classes apart; a side without any point may do."""
    sides = zip(*(image.has_classes for image in images), strict=True)
    empty = (not any(len(one.truth.xy) for one in images), not any(len(one.found.xy) for one in images))
    return all(any(side) or none for side, none in zip(sides, empty, strict=True))


def _entry(image: PointScores, counts: Counts, groups: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": image.name}
    if image.name in groups:
        entry["group"] = groups[image.name]
    true, found = indices(counts)
    index = {"true": _number(true), "found": _number(found)}
    return {**entry, "mpp": image.mpp, "scores": {**_scores(counts), "wrong_class": image.wrong}, "index": index}


def _summary(images: Sequence[PointScores], counts: Counts, radii: Sequence[float]) -> dict[str, Any]:
    """``pooled``, ``count_error`` and ``index`` of counts (N, R, 3, 3)."""
    values = _values(counts)
    middle = _statistics(values.mean(axis=0, keepdims=True), len(radii))[0]
    limits = bootstrap.interval(values, lambda means: _statistics(means, len(radii)))
    ends = None if limits is None else limits.T
    split = len(radii) * len(MEASURED) * len(MEASURES)
    pooled: list[dict[str, Any]] = [
        {"radius_um": radius, "scores": _scores(table), "interval": _intervals(ends, place)}
        for place, (radius, table) in enumerate(zip(radii, counts.sum(axis=0), strict=True))
    ]
    pooled[0]["scores"]["wrong_class"] = sum(image.wrong for image in images)
    errors = {name: _number(value) for name, value in zip(ERRORS, middle[split:], strict=False)}
    index = agreement(*indices(counts[:, 0]))
    later = split + len(ERRORS)
    return {
        "pooled": pooled,
        "count_error": {**errors, "interval": _named(ERRORS, ends, split)},
        "index": {**index, "interval": _named(INDEX, ends, later)},
    }


def _values(counts: Counts) -> _Floats:
    """What is averaged over images: counts, count errors, and whether there is an index, its error and absolute error.

    (N, 9 R + 6) of counts (N, R, 3, 3).
    """
    first = counts[:, 0]
    true, found = indices(first)
    error = np.nan_to_num(found - true)
    index = np.stack([~np.isnan(found - true), np.abs(error), error], axis=1)
    return np.concatenate([counts.reshape(len(counts), -1), np.abs(first[..., 2] - first[..., 1]), index], axis=1)


def _statistics(means: _Floats, n_radii: int) -> _Floats:
    """Measures, count errors and errors of the index from means of `_values`; (B, 12 R + 5)."""
    size = n_radii * len(ROWS) * 3
    scores = measures(means[:, :size].reshape(len(means), n_radii, len(ROWS), 3))
    known = np.where(means[:, [-3]] > 0, means[:, [-3]], np.nan)
    return np.concatenate([scores.reshape(len(means), -1), means[:, size:-3], means[:, -2:] / known], axis=1)


def _scores(counts: Counts) -> dict[str, Any]:
    values = measures(counts)
    scores: dict[str, Any] = {
        row: dict(zip(MEASURES, map(_number, line), strict=True)) for row, line in zip(MEASURED, values, strict=True)
    }
    for row, line in zip(ROWS, counts, strict=True):
        scores[row] |= {name: _count(n) for name, n in zip(("hits", "n_true", "n_found"), line, strict=True)}
    return scores


def _intervals(ends: _Floats | None, place: int) -> dict[str, Any] | None:
    """Intervals of the measures at the radius of a place."""
    if ends is None:
        return None
    size = len(MEASURES)
    start = place * len(MEASURED) * size
    return {row: _named(MEASURES, ends, start + number * size) for number, row in enumerate(MEASURED)}


def _named(names: Sequence[str], ends: _Floats | None, start: int) -> dict[str, Any] | None:
    if ends is None:
        return None
    lines = ends[start : start + len(names)]
    return {name: None if np.isnan(line).any() else line.tolist() for name, line in zip(names, lines, strict=True)}


def _groups(images: Sequence[PointScores], counts: Counts, groups: Mapping[str, str]) -> dict[str, Any]:
    members = {
        group: [place for place, image in enumerate(images) if groups.get(image.name) == group]
        for group in sorted({groups[image.name] for image in images if image.name in groups})
    }
    return {
        group: {"images": len(places), "scores": _scores(counts[places].sum(axis=0))}
        for group, places in members.items()
    }


def _total(counters: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return dict(sorted(total.items()))


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _count(value: Any) -> int | None:
    return None if np.isnan(value) else int(value)

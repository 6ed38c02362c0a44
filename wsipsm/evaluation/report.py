"""Report of an evaluation: JSON, and rows of a table.

Schema of the JSON, ``schema`` 1::

    schema      1
    kind        areas; points have a report of their own, see ``detection_report``
    command     arguments of the command line, or null
    versions    wsipsm, Python, platform and packages
    settings    options, see ``evaluate.Settings``
    images      [{name, group (where known), scores: {...}, paper: {...} (optional), notes: [...] (optional)}]
    mean        measure -> mean over images, counts too
    interval    measure -> [low, high], 95 % bootstrap interval of the mean over images; null with one image
    bootstrap   {resamples, seed}
    groups      group -> {images, mean}; absent without groups
    paper_mean  as mean, of the paper's scorer; optional
    missing     names of truths without a prediction
    unused      names of predictions without a truth

Measures are from 0 to 1, ``n_true`` and ``n_found`` are counts; see ``metrics`` for measures without a denominator.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.core.errors import EvaluationError
from wsipsm.core.versions import versions
from wsipsm.evaluation import bootstrap
from wsipsm.evaluation.evaluate import ImageScores, Settings
from wsipsm.evaluation.pairing import Pairs

SCHEMA = 1

COLUMNS = {
    "aji": "AJI",
    "aji_plus": "AJI+",
    "pq": "PQ",
    "dq": "DQ",
    "sq": "SQ",
    "object_dice": "obj. Dice",
    "pixel_iou": "px IoU",
    "pixel_dice": "px F1",
    "precision": "precision",
    "recall": "recall",
    "n_true": "true",
    "n_found": "found",
}
"""Measures in the table and their headings; the object F1 is DQ."""

PAPER_COLUMNS = {"aji": "AJI (paper)", "pixel_f1": "px F1 (paper)", "object_iou": "IoU (paper)"}


def make_report(
    images: Sequence[ImageScores],
    pairs: Pairs,
    settings: Settings,
    *,
    groups: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Report of scored images, ready for JSON, in the schema above.

    Parameters
    ----------
    images : sequence of ImageScores
        At least one.
    pairs, settings : Pairs, Settings
        Files compared, and options.
    groups : mapping or None
        Group (such as the organ) of each image by name; images without an entry are in no group.
    """
    rows = [asdict(image.scores) for image in images]
    names = list(rows[0])
    values = np.array([list(row.values()) for row in rows], float)
    interval = bootstrap.mean_interval(values)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "areas",
        "command": None,
        "versions": versions(),
        "settings": {name: str(v) if isinstance(v, Path) else v for name, v in asdict(settings).items()},
        "images": [_image_entry(image, groups or {}) for image in images],
        "mean": _mean(rows),
        "interval": None if interval is None else dict(zip(names, interval.T.tolist(), strict=True)),
        "bootstrap": {"resamples": bootstrap.RESAMPLES, "seed": bootstrap.SEED},
        "missing": list(pairs.missing),
        "unused": list(pairs.unused),
    }
    if groups is not None:
        report["groups"] = _group_means(images, groups)
    papers = [asdict(image.paper) for image in images if image.paper is not None]
    return {**report, "paper_mean": _mean(papers)} if papers else report


def table_rows(report: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of a report: images, groups, mean and interval."""
    columns, paper = list(COLUMNS), list(PAPER_COLUMNS) if "paper_mean" in report else []
    headings = ["image", *COLUMNS.values(), *(PAPER_COLUMNS[name] for name in paper)]
    rows = [_row(one["name"], one["scores"], one.get("paper")) for one in report["images"]]
    for group, entry in report.get("groups", {}).items():
        rows.append(_row(f"{group} ({entry['images']})", entry["mean"]))
    rows.append(_row(f"mean ({len(report['images'])})", report["mean"], report.get("paper_mean")))
    if report["interval"] is not None:
        for end, name in enumerate(("95 % from", "95 % to")):
            rows.append(_row(name, {column: report["interval"][column][end] for column in columns}))
    return headings, [row + [""] * (len(headings) - len(row)) for row in rows]


def read_groups(path: Path) -> dict[str, str]:
    """Group of each image, from a CSV file with the columns ``name`` and ``group``.

    Raises
    ------
    EvaluationError
        The file cannot be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path}: cannot be read as CSV: {error}") from None
    if not rows or not {"name", "group"} <= rows[0].keys():
        raise EvaluationError(
            f"{path}: expected the columns name and group, got {', '.join(rows[0]) if rows else 'none'}"
        )
    return {row["name"]: row["group"] for row in rows}


def _image_entry(image: ImageScores, groups: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": image.name}
    if image.name in groups:
        entry["group"] = groups[image.name]
    entry["scores"] = asdict(image.scores)
    if image.paper is not None:
        entry["paper"] = asdict(image.paper)
    if image.notes:
        entry["notes"] = list(image.notes)
    return entry


def _group_means(images: Sequence[ImageScores], groups: Mapping[str, str]) -> dict[str, Any]:
    found = sorted({groups[image.name] for image in images if image.name in groups})
    members = {group: [asdict(i.scores) for i in images if groups.get(i.name) == group] for group in found}
    return {group: {"images": len(rows), "mean": _mean(rows)} for group, rows in members.items()}


def _mean(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _row(name: str, scores: Mapping[str, float], paper: Mapping[str, float] | None = None) -> list[str]:
    cells = [f"{scores[key]:.0f}" if key.startswith("n_") else f"{scores[key]:.4f}" for key in COLUMNS]
    return [name, *cells, *(f"{paper[key]:.4f}" for key in PAPER_COLUMNS if paper is not None)]

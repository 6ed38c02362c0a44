"""What is printed of a report of points: two tables and notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = {
    "pos. P": ("positive", "precision"),
    "pos. R": ("positive", "recall"),
    "pos. F1": ("positive", "f1"),
    "neg. P": ("negative", "precision"),
    "neg. R": ("negative", "recall"),
    "neg. F1": ("negative", "f1"),
    "mean F1": ("mean", "f1"),
    "det. P": ("detection", "precision"),
    "det. R": ("detection", "recall"),
    "det. F1": ("detection", "f1"),
    "true": ("detection", "n_true"),
    "found": ("detection", "n_found"),
}
"""Headings of the table and where their figures are in ``scores``."""

INDEX_COLUMNS = {"index": "true", "index found": "found"}

DROPPED_FIRST = ("pos. P", "pos. R", "neg. P", "neg. R", "det. P", "det. R", "true", "found", "index found", "index")
"""Columns to drop in a narrow window, in this order."""

_ERRORS = {"positive": "MP", "negative": "MN", "all": "MA"}
_INDEX = {"mean_absolute_error": "index: mean absolute error", "bias": "index: bias"}

Table = tuple[list[str], list[list[str]]]


def score_table(report: Mapping[str, Any]) -> Table:
    """Headings and rows: images, groups, all images with the interval, and all at the other radii.

    Without classes the columns of the classes are left out.
    """
    columns = {name: at for name, at in COLUMNS.items() if report["classes"] or at[0] == "detection"}
    index = INDEX_COLUMNS if report["classes"] else {}
    first, *others = report["pooled"]
    rows = [
        [*_row(one["name"], one["scores"], columns), *(_shown(one["index"][at], 1) for at in index.values())]
        for one in report["images"]
    ]
    for group, entry in report.get("groups", {}).items():
        rows.append(_row(f"{group} ({entry['images']})", entry["scores"], columns))
    rows.append(_row(f"all ({len(report['images'])}) at {first['radius_um']:g} um", first["scores"], columns))
    if first["interval"] is not None:
        for end, name in enumerate(("95 % from", "95 % to")):
            rows.append([name, *(_end(first["interval"][row].get(measure), end) for row, measure in columns.values())])
    rows += [_row(f"all at {one['radius_um']:g} um", one["scores"], columns) for one in others]
    headings = ["image", *columns, *index]
    return headings, [row + [""] * (len(headings) - len(row)) for row in rows]


def agreement_table(report: Mapping[str, Any]) -> Table:
    """Headings and rows: mean count errors an image, and agreement of the index in percentage points."""
    index, errors = report["index"], report["count_error"]
    rows = [_measured(label, errors, name) for name, label in _ERRORS.items()]
    if index["images"]:
        rows += [_measured(label, index, name) for name, label in _INDEX.items()]
        if index["limits"] is not None:
            rows.append(["index: limits of agreement", "{:.1f} to {:.1f}".format(*index["limits"]), "", ""])
        rows.append(["index: Pearson r", _shown(index["pearson"], 3), "", ""])
        for cut, one in index["cut_offs"].items():
            value = f"{_shown(one['same_side'], 2)}, kappa {_shown(one['kappa'], 2)}"
            rows.append([f"index: same side of {cut} %", value, "", ""])
    return ["over images", "value", "95 % from", "95 % to"], [row for row in rows if row[1] != "-"]


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures should know, a line each."""
    lines = []
    if not report["classes"]:
        lines.append("one side has no positive or negative cell at all: only the detection regardless of class counts")
    for side, names in report["unknown_classes"].items():
        if names:
            listed = ", ".join(f"{name} ({count})" for name, count in names.items())
            lines.append(f"unknown classes of the {side}, counted regardless of class alone: {listed}")
    if report["repeated"]:
        lines.append(f"true points left out since they lie on another of their class: {report['repeated']}")
    if report["ignored"]:
        lines.append(f"true points that count neither way, such as lymphocytes: {report['ignored']}")
    return lines


def _row(name: str, scores: Mapping[str, Any], columns: Mapping[str, tuple[str, str]]) -> list[str]:
    return [name, *(_shown(scores[row][measure], 4) for row, measure in columns.values())]


def _measured(label: str, table: Mapping[str, Any], name: str) -> list[str]:
    ends = (table["interval"] or {}).get(name)
    return [label, _shown(table[name], 2), _end(ends, 0, 2), _end(ends, 1, 2)]


def _end(ends: list[float] | None, end: int, digits: int = 4) -> str:
    return "" if ends is None else f"{ends[end]:.{digits}f}"


def _shown(value: float | None, digits: int) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"

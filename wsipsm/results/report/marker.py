"""The part of a report on positive and negative cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wsipsm.cells.marker import MARKER_COLUMNS
from wsipsm.cells.measurements import measurements
from wsipsm.results import html
from wsipsm.results.report.words import number, paragraph, section

_HEAD = ("Where", "Cells", "Positive", "Positive %", "95 % interval", "H-score", "Allred", "mm²")


def compartment_of(record: Mapping[str, Any]) -> str:
    """Where the chromogen counts: ``nucleus``, or ``ring``; ``nucleus`` too where cells have no classes."""
    return str((record.get("classes") or {}).get("compartment", "nucleus"))


def threshold_of(record: Mapping[str, Any], stain: str) -> tuple[str, float] | None:
    """Column by which cells are positive, and from which value on; None where they have no classes."""
    rule = record.get("classes")
    if not rule:
        return None
    return measurements(stain)[MARKER_COLUMNS[rule["compartment"]]].column, float(rule["threshold_od"])


def marker_section(record: Mapping[str, Any]) -> str:
    """Index of the slide and its hot spots, and the rule; empty where cells have no classes."""
    index, rule = record.get("index"), record.get("classes")
    if not (index and rule):
        return ""
    rows = [index_row("Slide", index["slide"]), *(index_row(one["region"], one) for one in index["hot_spots"])]
    return section(
        "Positive and negative cells",
        html.table(_HEAD, rows),
        paragraph(_rule_words(rule), "note"),
        paragraph(_hot_spot_words(index), "note"),
    )


def index_row(name: str, scores: Mapping[str, Any]) -> list[str]:
    """Figures of a region as a row of text."""
    low, high = scores["positive_percent_low"], scores["positive_percent_high"]
    return [
        name,
        f"{scores['counted']:,}",
        f"{scores['positive']:,}",
        number(scores["positive_percent"], ".1f"),
        "-" if low is None else f"{low:.1f} to {high:.1f}",
        number(scores["h_score"], ".0f"),
        number(scores["allred"], "d"),
        f"{scores['mm2']:.3f}",
    ]


def index_table(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Table of figures by name."""
    return html.table(_HEAD, [index_row(name, scores) for name, scores in rows])


def _rule_words(rule: Mapping[str, Any]) -> str:
    where = "in the core of the nucleus" if rule["compartment"] == "nucleus" else "in a ring around the nucleus"
    found = (
        "as the configuration says"
        if rule["found_on"] == "configuration"
        else f"found on this slide's {rule['found_on']} ({rule['blue']:,} surely blue, {rule['brown']:,} surely brown)"
    )
    return (
        f"A cell is positive from an optical density of {rule['threshold_od']:.3f} of the chromogen {where} on, "
        f"{found}. "
        "The interval (Wilson) says what chance does to a share of so many cells, not what missed cells do."
    )


def _hot_spot_words(index: Mapping[str, Any]) -> str:
    least = index["hot_spot_rule"]["least_cells"]
    if not index["hot_spots"]:
        return f"No hot spot: no field has {least:,} cells and a positive one among them."
    return (
        f"A hot spot is a square of {least:,} to {2 * least:,} cells with the highest share of positive ones. It is "
        "the best of many, so it is high by chance too: compare hot spots with hot spots."
    )

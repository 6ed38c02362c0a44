"""The part of a report on tiles and seams."""

from __future__ import annotations

from wsipsm.results import html
from wsipsm.results.report.seams import DUPLICATE_SHARE, EDGE_UM, Along, SeamFigures
from wsipsm.results.report.words import paragraph, per_mm2


def seam_parts(seams: SeamFigures) -> list[str]:
    """Table of the seam figures and what each means."""
    intro = (
        f"The slide was worked on in square tiles of {seams.core_um:,.0f} µm. If that showed, cells would be doubled, "
        "cut or missing where two tiles meet."
    )
    if not seams.cells:
        return [paragraph(f"{intro} There are no cells to tell by.")]
    figures = html.table(["", "At borders of tiles", "Half way between, for comparison"], _lines(seams))
    words = [
        f"Duplicates: pairs of cells, anywhere on the slide, that share more than {DUPLICATE_SHARE:.0%} of the smaller "
        "one; there should be none.",
        f"Straight edges: pieces of outlines of {EDGE_UM:g} µm or more that lie exactly on a border; by chance there "
        "are about as many as on the lines half way between, where no tile ends.",
        f"Density: cells per mm² within one cell diameter ({seams.diameter_um:.1f} µm) of a border against all others; "
        "1 means that tiles neither lose nor add cells, and as tissue is uneven the comparison says how far from 1 "
        "chance goes.",
    ]
    if not seams.borders:
        return [paragraph(f"{intro} The whole slide is one tile: it has no seam."), _duplicates_line(seams)]
    return [paragraph(intro), figures, *(paragraph(text, "note") for text in words)]


def _duplicates_line(seams: SeamFigures) -> str:
    return paragraph(
        f"Duplicates: {seams.duplicates:,} pairs of cells share more than {DUPLICATE_SHARE:.0%} of the smaller one; "
        "there should be none."
    )


def _lines(seams: SeamFigures) -> list[list[str]]:
    both = seams.seams, seams.halfway
    return [
        ["Duplicates on the whole slide, pairs", f"{seams.duplicates:,}", ""],
        ["Straight edges", *(f"{one.edges:,}" for one in both)],
        ["Cells within one diameter", *(f"{one.near:,}" for one in both)],
        ["Cells per mm² there", *(per_mm2(one.near, one.near_mm2) for one in both)],
        ["Cells per mm² elsewhere", *(per_mm2(one.interior, one.interior_mm2) for one in both)],
        ["Ratio of the two (95 % interval)", *map(_ratio, both)],
    ]


def _ratio(along: Along) -> str:
    if along.ratio is None:
        return "-"
    ratio, low, high = along.ratio
    return f"{ratio:.2f} ({low:.2f} to {high:.2f})"

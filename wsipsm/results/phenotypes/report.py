"""What a fit or an application reports, in figures and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsipsm.results.phenotypes.model import PhenotypeModel
from wsipsm.results.phenotypes.slides import StoredSlide
from wsipsm.results.phenotypes.typical import Cell, save_montage


def report_of(model: PhenotypeModel, path: Path, counts: Sequence[int]) -> dict[str, Any]:
    """Figures of a model and of the cells in each of its clusters, JSON-ready; medians are those of the fit.

    Parameters
    ----------
    model : PhenotypeModel
        Fitted.
    path : Path
        Its file.
    counts : sequence of int
        Cells of each cluster.
    """
    whole = sum(counts)
    return {
        "model": str(path),
        "sha256": model.sha256(),
        "method": model.method,
        "clusters": [
            {"name": one.name, "cells": count, "share": count / whole if whole else 0.0, "medians": one.medians}
            for one, count in zip(model.clusters, counts, strict=True)
        ],
    }


def draw_typical(
    path: Path, slides: Sequence[StoredSlide], typical: Sequence[Sequence[Cell]], report: dict[str, Any]
) -> dict[str, Any]:
    """Write the montage of a report; returns ``montage``, its path, and ``notes`` on what it lacks.

    Parameters
    ----------
    path : Path
        The montage, a PNG.
    slides : sequence of StoredSlide
        Whose cells these are.
    typical : sequence of sequence of Cell
        Of each cluster the cells to show.
    report : dict
        Of `report_of`.
    """
    cells = sum(one["cells"] for one in report["clusters"])
    title = f"Typical cells of each cluster by {Path(report['model']).name}"
    facts = f"{cells:,} cells, slides: {len(slides)}, {report['method']}, model {report['sha256'][:12]}"
    figures = [_figures(one) for one in report["clusters"]]
    notes = save_montage(path, slides, typical, title=title, facts=facts, figures=figures)
    return {"montage": str(path), "notes": notes}


def _figures(cluster: dict[str, Any]) -> tuple[str, ...]:
    area = cluster["medians"].get("area_um2")
    share = f"{cluster['share']:.1%}, {cluster['cells']:,} cells"
    return (share, f"median area {area:.0f} µm² in the fit") if area is not None else (share,)

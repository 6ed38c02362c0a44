"""Give the cells of slides the phenotype clusters of a model, and take them back.

A cell's cluster follows from its measurements, the scales of its own slide's stains and the frozen model, and from
nothing else: one slide at a time is looked at, one row group of its table at a time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm import __version__
from wsipsm.cells.classes import CLASSES, CLUSTERS, DOUBTFUL
from wsipsm.core.errors import OutputError
from wsipsm.core.events import Event, Observer, ignore
from wsipsm.results.phenotypes.features import scaled
from wsipsm.results.phenotypes.model import PhenotypeModel, load_model
from wsipsm.results.phenotypes.publish import replace_classes
from wsipsm.results.phenotypes.report import draw_typical, report_of
from wsipsm.results.phenotypes.slides import PLACE, StoredSlide, locked_slides
from wsipsm.results.phenotypes.typical import Nearest, typical_cells
from wsipsm.results.stored_cells import Columns, Names, is_reclassified, write_with_classes, write_with_classes_of_run

MONTAGE = "classify-montage.png"
"""Picture of typical cells in the output folder."""


def apply(out: Path, path: Path, on_event: Observer = ignore) -> dict[str, Any]:
    """Give the cells of every slide of an output folder the clusters of a model; doubtful cells stay doubtful.

    Parameters
    ----------
    out : Path
        Output folder of a run, or of one slide.
    path : Path
        The model.
    on_event : callable
        Receives what is under way.

    Returns
    -------
    dict
        As of `fit`; the figures are those of all cells of the folder.

    Raises
    ------
    CheckpointError
        The model cannot be used, or a slide has other measurements than it; no slide was changed.
    OutputError
        The folder has no results, is at work, or cannot be read or written.
    """
    model = load_model(path)
    with locked_slides(out) as slides:
        for slide in slides:
            model.require_columns(slide.columns, where=slide.folder)
        done = []
        on_event(Event("stage", text="classify", steps=len(slides)))
        for number, slide in enumerate(slides, 1):
            done.append(_Applied(slide, model, path.name))
            on_event(Event("step", text="classify", step=number, steps=len(slides)))
        counts = [sum(one.counts.get(cluster.name, 0) for one in done) for cluster in model.clusters]
        report = report_of(model, path, counts)
        report["slides"] = [{"name": one.slide.name, "by_class": one.counts} for one in done]
        typical = typical_cells((one.nearest for one in done), len(counts))
        report |= draw_typical(out / MONTAGE, slides, typical, report)
    return report


def undo(out: Path, on_event: Observer = ignore) -> dict[str, Any]:
    """Give the cells of every slide of an output folder the classes that the run gave them.

    Returns
    -------
    dict
        JSON-ready report: ``slides`` that were changed.

    Raises
    ------
    OutputError
        No slide of the folder has clusters; or it is at work, or cannot be read or written.
    """
    with locked_slides(out) as slides:
        # Also one whose record says so alone: a kill came between the table and the GeoJSON.
        changed = [slide for slide in slides if "classify" in slide.record or is_reclassified(slide.table)]
        if not changed:
            raise OutputError(f"{out}: no slide has clusters that could be taken back")
        on_event(Event("stage", text="undo", steps=len(changed)))
        done = []
        for number, slide in enumerate(changed, 1):
            counts = replace_classes(slide, write_with_classes_of_run, None)
            done.append({"name": slide.name, "by_class": counts})
            on_event(Event("step", text="undo", step=number, steps=len(changed)))
        (out / MONTAGE).unlink(missing_ok=True)
    return {"slides": done}


class _Applied:
    """A slide whose cells have been given the clusters of a model.

    Attributes
    ----------
    slide : StoredSlide
        The slide.
    counts : dict of str to int
        Its cells by class.
    nearest : Nearest
        Its typical cells.
    """

    def __init__(self, slide: StoredSlide, model: PhenotypeModel, name: str) -> None:
        self.slide, self.nearest = slide, Nearest(slide.name)
        of_slide = slide.scales(model.stain_columns)
        self._model, self._scales = model, model.scales(of_slide)
        entry = {
            "model": name,
            "model_sha256": model.sha256(),
            "wsipsm": __version__,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "stain_scales": {column: [scale.center, scale.spread] for column, scale in of_slide.items()},
        }
        self.counts = replace_classes(slide, self._write_table, entry)

    def _write_table(self, source: Path, target: Path) -> None:
        write_with_classes(source, target, [*self._model.columns, *PLACE], self._classes_of)

    def _classes_of(self, columns: Columns, of_run: Names) -> Names:
        trusted = of_run != CLASSES.names[DOUBTFUL]
        features = scaled(columns, self._scales)
        clusters = self._model.assign(features)
        place = {name: columns[name][trusted] for name in PLACE}
        distances = self._model.distances(features[trusted], clusters[trusted])
        self.nearest.add(place, clusters[trusted], distances)
        return np.where(trusted, np.array(CLUSTERS.names, object)[clusters], of_run)

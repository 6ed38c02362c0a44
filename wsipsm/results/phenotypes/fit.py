"""Fit phenotype clusters to cells drawn at random from every slide of an output folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm import __version__
from wsipsm.cells.classes import CLUSTERS
from wsipsm.core.errors import ConfigError, FitError, OutputError
from wsipsm.core.events import Event, Observer, ignore
from wsipsm.core.files import make_folder
from wsipsm.results.phenotypes.features import SHAPE, Floats, Scale, scale_of, scaled, straightened
from wsipsm.results.phenotypes.learn import Fitted, fit_clusters
from wsipsm.results.phenotypes.model import MAX_CLUSTERS, Cluster, FittedSlide, Method, PhenotypeModel, save_model
from wsipsm.results.phenotypes.report import draw_typical, report_of
from wsipsm.results.phenotypes.slides import PLACE, StoredSlide, locked_slides
from wsipsm.results.phenotypes.typical import Cell, Nearest, typical_cells
from wsipsm.results.stored_cells import Columns

CELLS_A_SLIDE, CELLS_IN_ALL = 20_000, 1_000_000
"""Most cells that a fit draws from a slide, and from all slides together."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a model is fitted.

    Attributes
    ----------
    clusters : int
        How many.
    method : {'kmeans', 'gmm'}
        k-means, or a mixture of Gaussians.
    seed : int
        Of the cells that are drawn and of the starts.
    """

    clusters: int = 5
    method: Method = "kmeans"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.clusters <= MAX_CLUSTERS:
            raise ConfigError(f"{self.clusters} clusters: expected 2 to {MAX_CLUSTERS}")
        if self.method not in {"kmeans", "gmm"}:
            raise ConfigError(f"method {self.method!r}: expected kmeans or gmm")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: expected 0 or more")


def fit(out: Path, path: Path, settings: FitSettings, on_event: Observer = ignore) -> dict[str, Any]:
    """Fit a model over the slides of an output folder, which stays as it is, and write it with a montage beside it.

    Parameters
    ----------
    out : Path
        Output folder of a run, or of one slide.
    path : Path
        The model; it must not exist, as one that is in use is not to change.
    settings : FitSettings
        How.
    on_event : callable
        Receives the progress.

    Returns
    -------
    dict
        JSON-ready report: ``model``, ``sha256``, ``montage``, ``clusters``, ``slides``, ``notes``.

    Raises
    ------
    FitError
        There are no cells, or fewer than clusters.
    CheckpointError
        The slides do not have the same measurements.
    OutputError
        The folder has no results, is at work, or cannot be read; or the model is there already.
    """
    if path.exists():
        raise OutputError(f"{path} is there already; a fitted model is never replaced, choose another name")
    make_folder(path.parent)
    with locked_slides(out) as slides:
        samples, used = _draw(slides, settings.seed, on_event)
        model, features = _fitted(samples, used, settings)
        typical = _typical_of_samples(samples, used, model, features)
        report = report_of(model, path, [one.cells for one in model.clusters])
        report["slides"] = [one.model_dump() for one in model.slides]
        report |= draw_typical(path.with_suffix(".png"), used, typical, report)
    save_model(path, model)
    return report


def _draw(slides: Sequence[StoredSlide], seed: int, on_event: Observer) -> tuple[list[Columns], list[StoredSlide]]:
    """Cells of each slide that has any, in an order that does not depend on names or places of folders."""
    used = sorted((slide for slide in slides if slide.trusted.any()), key=lambda slide: slide.fingerprint)
    if not used:
        raise FitError("there are no cells to fit clusters to")
    expected = used[0]
    for slide in used:
        if set(slide.columns) != set(expected.columns):
            raise FitError(
                f"{slide.name} is measured by {', '.join(slide.columns)}, {expected.name} by "
                f"{', '.join(expected.columns)}: fit clusters to slides of one stain and configuration"
            )
    most = max(1, min(CELLS_A_SLIDE, CELLS_IN_ALL // len(used)))
    samples = []
    on_event(Event("stage", text="draw cells", steps=len(used)))
    for number, slide in enumerate(used, 1):
        samples.append(slide.drawn(most, seed=seed))
        on_event(Event("step", text="draw cells", step=number, steps=len(used)))
    return samples, used


def _fitted(
    samples: Sequence[Columns], slides: Sequence[StoredSlide], settings: FitSettings
) -> tuple[PhenotypeModel, Floats]:
    """Model, and scaled features of all drawn cells; (N, F)."""
    columns = slides[0].columns
    shape_scales = {
        name: scale_of(np.concatenate([straightened(name, sample[name]) for sample in samples]))
        for name in columns
        if name in SHAPE
    }
    features = np.concatenate(
        [_scaled(sample, columns, shape_scales, slide) for sample, slide in zip(samples, slides, strict=True)]
    )
    found = fit_clusters(features, clusters=settings.clusters, method=settings.method, seed=settings.seed)
    model = PhenotypeModel(
        wsipsm=__version__,
        method=settings.method,
        seed=settings.seed,
        columns=columns,
        shape_scales={name: (scale.center, scale.spread) for name, scale in shape_scales.items()},
        clusters=_clusters(found, samples, columns),
        slides=tuple(_fitted_slide(*one) for one in zip(slides, samples, strict=True)),
    )
    return model, features


def _scaled(sample: Columns, columns: Sequence[str], shapes: dict[str, Scale], slide: StoredSlide) -> Floats:
    known = shapes | slide.scales([name for name in columns if name not in shapes])
    return scaled(sample, {name: known[name] for name in columns})


def _fitted_slide(slide: StoredSlide, sample: Columns) -> FittedSlide:
    return FittedSlide(
        name=slide.name,
        fingerprint=slide.fingerprint,
        mpp=slide.record["grid"]["mpp"],
        cells=int(slide.trusted.sum()),
        drawn=len(sample["label"]),
    )


def _clusters(found: Fitted, samples: Sequence[Columns], columns: Sequence[str]) -> tuple[Cluster, ...]:
    raw = {name: np.concatenate([sample[name] for sample in samples]) for name in columns}
    return tuple(
        Cluster(
            name=CLUSTERS.names[number],
            cells=int((found.labels == number).sum()),
            medians={name: float(np.median(values[found.labels == number])) for name, values in raw.items()},
            center=tuple(center.tolist()),
            weight=None if found.weights is None else float(found.weights[number]),
            precision_cholesky=None
            if found.precisions_cholesky is None
            else tuple(tuple(row) for row in found.precisions_cholesky[number].tolist()),
        )
        for number, center in enumerate(found.centers)
    )


def _typical_of_samples(
    samples: Sequence[Columns], slides: Sequence[StoredSlide], model: PhenotypeModel, features: Floats
) -> list[list[Cell]]:
    labels, start, found = model.assign(features), 0, []
    distances = model.distances(features, labels)
    for sample, slide in zip(samples, slides, strict=True):
        of_slide = slice(start, start := start + len(sample["label"]))
        found.append(Nearest(slide.name))
        found[-1].add({name: sample[name] for name in PLACE}, labels[of_slide], distances[of_slide])
    return typical_cells(found, len(model.clusters))

"""What is done with results: scores, phenotype clusters, reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from wsipsm.api.inputs import PathLike, as_path
from wsipsm.core.errors import ConfigError, OutputError
from wsipsm.core.events import Observer, ignore
from wsipsm.core.words import python_words


@python_words
def evaluate(
    predictions: PathLike,
    truth: PathLike,
    *,
    images: PathLike | None = None,
    pictures: PathLike | None = None,
    groups: PathLike | None = None,
    outlines: bool = False,
    downsample: float = 1.0,
    xml_convention: Literal["vertex", "centre"] = "vertex",
    allow_missing: bool = False,
    paper: bool = False,
    radius_um: float | None = None,
    truth_mpp: float | None = None,
) -> dict[str, Any]:
    """Score predictions against ground truth, as ``wsipsm evaluate`` does.

    Parameters
    ----------
    predictions : path
        Output folder of a run, label images or GeoJSON; against points CSV too. Files are paired by name.
    truth : path
        Areas (MoNuSeg XML, label images, GeoJSON) or points (BCData, SHIDC JSON, CSV, GeoJSON); a file or a folder.
    images, pictures, groups : path, optional
        Folder of the images; folder for pictures of hits and misses; CSV of ``name,group`` for means of each group.
    outlines, downsample, xml_convention, allow_missing, paper, radius_um, truth_mpp
        As in :class:`wsipsm.evaluation.evaluate.Settings`.

    Returns
    -------
    dict
        The report, see :mod:`wsipsm.evaluation.report`; of points :mod:`wsipsm.evaluation.detection_report`.

    Raises
    ------
    EvaluationError
        Something cannot be read, paired or compared.
    """
    from wsipsm.evaluation.command import Settings, report_of

    options = Settings(
        outlines=outlines,
        downsample=downsample,
        xml_convention=xml_convention,
        allow_missing=allow_missing,
        paper=paper,
        images=as_path(images),
        picture=as_path(pictures),
        radius_um=radius_um,
        truth_mpp=truth_mpp,
    )
    return report_of(Path(predictions), Path(truth), options, groups=as_path(groups))


@python_words
def classify(
    out: PathLike,
    *,
    fit: PathLike | None = None,
    apply: PathLike | None = None,
    undo: bool = False,
    clusters: int = 5,
    method: Literal["kmeans", "gmm"] = "kmeans",
    seed: int = 0,
    on_event: Observer = ignore,
) -> dict[str, Any]:
    """Group the cells of a run into phenotype clusters, as ``wsipsm classify`` does; one of three things at a time.

    Parameters
    ----------
    out : path
        Output folder of a run, or of one slide.
    fit : path, optional
        Fit a model to the cells and write it there; the cells stay as they are.
    apply : path, optional
        Give the cells the clusters of this model, in all their files.
    undo : bool
        Give the cells the classes of their run again.
    clusters, method, seed : int, {'kmeans', 'gmm'}, int
        Of a fit.
    on_event : callable
        Called with every `Event`.

    Returns
    -------
    dict
        The report: ``clusters`` with their cells and medians, ``slides``, ``montage``, ``notes``, ``sha256``.

    Raises
    ------
    WsipsmError
        There are too few cells, the model cannot be used, or the folder is at work or cannot be read or written.
    """
    if (fit is not None) + (apply is not None) + undo != 1:
        raise ConfigError("expected one of fit=MODEL, apply=MODEL and undo=True")
    from wsipsm.engine.pages import refresh_run_page
    from wsipsm.results.phenotypes.apply import apply as apply_model
    from wsipsm.results.phenotypes.apply import undo as take_back
    from wsipsm.results.phenotypes.fit import FitSettings
    from wsipsm.results.phenotypes.fit import fit as fit_model

    if fit is not None:
        return fit_model(Path(out), Path(fit), FitSettings(clusters, method, seed), on_event)
    found = take_back(Path(out), on_event) if apply is None else apply_model(Path(out), Path(apply), on_event)
    refresh_run_page(Path(out))
    return found


def report(out: PathLike) -> list[Path]:
    """Write ``report.html`` of each finished slide and of the run, as ``wsipsm report`` does.

    Parameters
    ----------
    out : path
        Output folder of a run, or of one slide.

    Returns
    -------
    list of Path
        The files, that of the run last.

    Raises
    ------
    OutputError
        There are no results, or a report could not be written; the others are.
    """
    from wsipsm.engine.pages import write_pages

    pages = list(write_pages(Path(out)))
    if failed := [page for page in pages if page.path is None]:
        raise OutputError("; ".join(f"{page.folder}: no report: {page.error}" for page in failed))
    return [page.path for page in pages if page.path is not None]

"""The Python interface: what the command line does, as functions.

Nothing here prints, installs signal handlers or exits. Progress goes to ``on_event``; what goes wrong is raised as a
`WsipsmError`. All of it works in scripts, in notebooks and where an event loop runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from wsipsm.config import Config, load_config, load_recipe
from wsipsm.core.errors import ConfigError, InputError, StoppedError, WsipsmError
from wsipsm.core.events import Event, Observer, ignore
from wsipsm.core.geometry import Box
from wsipsm.engine.cluster.stop import Stop
from wsipsm.results.result import Result, open_result
from wsipsm.slide import Slide, open_slide

if TYPE_CHECKING:
    from wsipsm.engine.request import Request

__all__ = [
    "Box",
    "Config",
    "Event",
    "Result",
    "Slide",
    "Stop",
    "StoppedError",
    "WsipsmError",
    "classify",
    "evaluate",
    "load_config",
    "open_result",
    "open_slide",
    "run",
    "train",
]

PathLike = str | os.PathLike[str]
Device = Literal["auto", "cpu", "cuda"]
Stage = Literal["all", "pretrain", "pseudomask", "segmenter"]


def run(
    slides: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    config: PathLike | Config = "he",
    settings: Sequence[str] = (),
    slide_mpp: float | None = None,
    roi: PathLike | None = None,
    checkpoint: PathLike | None = None,
    device: Device = "auto",
    scheduler: str | None = None,
    cluster: str | None = None,
    fresh: bool = False,
    stage_dir: PathLike | None = None,
    stage_gb: float = 50.0,
    on_event: Observer = ignore,
    stop: Stop | None = None,
) -> list[Result]:
    """Find the cells of slides, as ``wsipsm run`` does.

    Parameters
    ----------
    slides : path, or sequence of paths
        Slides, folders (searched to any depth), glob patterns, or manifests.
    out : path
        Output folder; a folder for each slide is made in it. What an earlier call finished is not computed again.
    config : str, path or Config
        Name of a packaged configuration, a YAML file, or a configuration.
    settings : sequence of str
        ``section.key=value``, as ``--set``.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, for slides that do not say.
    roi : path, optional
        GeoJSON polygons in QuPath's frame; cells are sought inside them only.
    checkpoint : path, optional
        Segmenter of ``train``, or an encoder for ``recognizer.method=psm``; by default the one that comes with wsipsm.
    device : {'auto', 'cpu', 'cuda'}
        Where networks run.
    scheduler : str, optional
        Address or file of a Dask scheduler; by default local worker processes are started, one a core.
    cluster : str, optional
        Recipe of a cluster's manager, as ``--cluster``.
    fresh : bool
        Drop what earlier calls left.
    stage_dir, stage_gb : path, float
        Folder on a fast disk that slides are copied to ahead of their turn, and the most gigabytes of such copies.
    on_event : callable
        Called with every `Event`, from the thread that called ``run`` or from one of its helpers.
    stop : Stop, optional
        ``stop.ask("reason")``, from another thread, ends the call in good order; the same call then goes on later.

    Returns
    -------
    list of Result
        One a slide, in the order given; that of a slide that could not be processed has the status ``failed`` and says
        why.

    Raises
    ------
    WsipsmError
        Nothing can be done at all: no slide, a bad configuration, a folder that cannot be written, no scheduler.
    StoppedError
        ``stop`` asked for it.
    """
    from wsipsm.engine.pipeline import run as run_pipeline

    request = request_of(
        slides,
        out,
        config=config,
        settings=settings,
        slide_mpp=slide_mpp,
        roi=roi,
        checkpoint=checkpoint,
        device=device,
        scheduler=scheduler,
        cluster=cluster,
        fresh=fresh,
        stage_dir=stage_dir,
        stage_gb=stage_gb,
    )
    states = run_pipeline(request, on_event, stop)
    return [Result(state.out, status=state.status, error=state.error) for state in states]


def request_of(
    slides: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    config: PathLike | Config = "he",
    settings: Sequence[str] = (),
    roi: PathLike | None = None,
    checkpoint: PathLike | None = None,
    cluster: str | None = None,
    stage_dir: PathLike | None = None,
    **options: Any,
) -> Request:
    """Request of the engine for what `run` was asked; parameters and errors as there."""
    from wsipsm.engine.request import Request

    if options.get("scheduler") and cluster:
        raise ConfigError("scheduler joins a running cluster, cluster starts one: give one of them")
    _refuse_other("device", options.get("device", "auto"), get_args(Device))
    return Request(
        inputs=_listed(slides),
        out=Path(out),
        config=_config(config, settings),
        settings=tuple(settings),
        roi=_path(roi),
        checkpoint=_path(checkpoint),
        recipe=load_recipe(cluster) if cluster else None,
        stage_dir=_path(stage_dir),
        **options,
    )


def train(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    config: PathLike | Config = "he",
    settings: Sequence[str] = (),
    stage: Stage = "all",
    init: PathLike | None = None,
    slide_mpp: float | None = None,
    device: Device = "auto",
    fresh: bool = False,
    on_event: Observer = ignore,
) -> Path:
    """Learn a segmenter from slides alone, as ``wsipsm train`` does.

    Parameters
    ----------
    inputs : path, or sequence of paths
        Slides, plain images, folders, patterns or manifests.
    out : path
        Folder of the training; a call that was interrupted goes on in it.
    config, settings
        As in `run`.
    stage : {'all', 'pretrain', 'pseudomask', 'segmenter'}
        Up to where to go; ``segmenter`` is the last stage alone.
    init : path, optional
        Segmenter to start from; it labels the first round.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, for inputs that do not say.
    device, fresh, on_event
        As in `run`.

    Returns
    -------
    Path
        What the last stage left: ``model.pt``, which `run` takes as ``checkpoint``; ``encoder.pt``; or the folder of
        pseudo labels.

    Raises
    ------
    WsipsmError
        Nothing to learn from, or a folder or checkpoint that cannot be used.
    """
    _refuse_other("stage", stage, get_args(Stage))
    _refuse_other("device", device, get_args(Device))
    loaded = _config(config, settings)  # before PyTorch is imported: a mistake shows at once
    from wsipsm.training.pipeline import TrainRequest
    from wsipsm.training.pipeline import train as train_pipeline

    request = TrainRequest(
        inputs=_listed(inputs),
        out=Path(out),
        config=loaded,
        stage=stage,
        init=_path(init),
        slide_mpp=slide_mpp,
        device=device,
        fresh=fresh,
    )
    return train_pipeline(request, on_event)


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
        images=_path(images),
        picture=_path(pictures),
        radius_um=radius_um,
        truth_mpp=truth_mpp,
    )
    return report_of(Path(predictions), Path(truth), options, groups=_path(groups))


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
    from wsipsm.phenotypes.apply import apply as apply_model
    from wsipsm.phenotypes.apply import undo as take_back
    from wsipsm.phenotypes.fit import FitSettings
    from wsipsm.phenotypes.fit import fit as fit_model

    if fit is not None:
        return fit_model(Path(out), Path(fit), FitSettings(clusters, method, seed), on_event)
    return take_back(Path(out), on_event) if apply is None else apply_model(Path(out), Path(apply), on_event)


def _listed(paths: PathLike | Sequence[PathLike]) -> list[str]:
    listed = [os.fspath(paths)] if isinstance(paths, str | os.PathLike) else [os.fspath(path) for path in paths]
    if not listed:
        raise InputError("no slide was given: expected files, folders, patterns or manifests")
    return listed


def _refuse_other(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} {value!r}: expected one of {', '.join(known)}")


def _path(path: PathLike | None) -> Path | None:
    return None if path is None else Path(path)


def _config(config: PathLike | Config, settings: Sequence[str]) -> Config:
    if not isinstance(config, Config):
        return load_config(os.fspath(config), tuple(settings))
    if settings:
        raise ConfigError("settings go with the name of a configuration: change a Config itself, with model_copy")
    return config

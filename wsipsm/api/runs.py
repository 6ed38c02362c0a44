"""Run over slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from wsipsm.api.inputs import Device, PathLike, as_config, as_path, listed, refuse_other
from wsipsm.config import Config, load_recipe
from wsipsm.core.errors import ConfigError
from wsipsm.core.events import Observer, ignore
from wsipsm.core.words import as_called, python_words
from wsipsm.engine.cluster.stop import Stop
from wsipsm.results.result import Result

if TYPE_CHECKING:
    from wsipsm.engine.request import Request


@python_words
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
    return [Result(state.out, status=state.status, error=as_called(state.error)) for state in states]


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
    """Request of the engine for what `run` was asked; parameters and errors as there.

    Parameters
    ----------
    slides, out, config, settings, roi, checkpoint, cluster, stage_dir, **options
        As in `run`.
    """
    from wsipsm.engine.request import Request

    if options.get("scheduler") and cluster:
        raise ConfigError("scheduler joins a running cluster, cluster starts one: give one of them")
    refuse_other("device", options.get("device", "auto"), get_args(Device))
    return Request(
        inputs=listed(slides),
        out=Path(out),
        config=as_config(config, settings),
        settings=tuple(settings),
        roi=as_path(roi),
        checkpoint=as_path(checkpoint),
        recipe=load_recipe(cluster) if cluster else None,
        stage_dir=as_path(stage_dir),
        **options,
    )

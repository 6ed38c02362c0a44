"""What the user asks of a run, and the task for each slide that follows from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from wsipsm.config import Config, RecipeConfig, RecognizerConfig, load_config
from wsipsm.core.errors import CheckpointError, ConfigError
from wsipsm.core.files import file_hash
from wsipsm.core.gpus import gpu_count
from wsipsm.engine.job import SlideOptions, SlideTask, halo_px_of
from wsipsm.engine.resume import separate_folders
from wsipsm.nuclei.models import SHIPPED_MPP, fits_resolution, shipped_model
from wsipsm.slide import find_slides
from wsipsm.slide.annotations import read_regions
from wsipsm.slide.manifest import Row, is_manifest, read_manifest
from wsipsm.tissue.tiles import refuse_small_cores


@dataclass(frozen=True, slots=True)
class Request(SlideOptions):
    """What the user asked for, besides the options that each slide gets.

    Attributes
    ----------
    inputs : sequence of str
        Slides, folders, globs or manifests.
    out : Path
        Output folder.
    config : Config
        The configuration.
    scheduler : str, optional
        Address or file of a Dask scheduler.
    recipe : RecipeConfig, optional
        Workers to ask of a cluster's manager, where no scheduler is given.
    settings : sequence of str
        ``section.key=value``, also applied to the configurations that a manifest names.
    stage_dir : Path, optional
        Folder on a fast disk that slides are copied to ahead of their turn.
    stage_gb : float
        Budget of these copies, 10^9 bytes each.
    """

    inputs: Sequence[str]
    out: Path
    config: Config
    scheduler: str | None = None
    recipe: RecipeConfig | None = None
    settings: Sequence[str] = ()
    stage_dir: Path | None = None
    stage_gb: float = 50.0

    @property
    def slide_options(self) -> dict[str, Any]:
        """Options that each slide gets, by name; paths are absolute."""
        options = {field.name: getattr(self, field.name) for field in fields(SlideOptions)}
        return {name: value.absolute() if isinstance(value, Path) else value for name, value in options.items()}


def slide_tasks(request: Request, say: Callable[[str], object] = str) -> list[SlideTask]:
    """One task a slide, in the order of the inputs; each has a folder of its own.

    Parameters
    ----------
    request : Request
        Slides, configuration, output folder.
    say : callable
        Receives what was passed over in folders that were searched, as one line.

    Raises
    ------
    WsipsmError
        A path, a manifest, a region, a configuration or a checkpoint that cannot be used.
    """
    _refuse_small_cores(request.config)
    if request.roi is not None:
        read_regions(request.roi)
    if request.device == "cuda" and request.scheduler is None and request.recipe is None and not gpu_count():
        raise ConfigError("--device cuda: no CUDA device is visible; use --device auto or cpu")

    @cache
    def config_of(name: str) -> Config:
        config = load_config(name, tuple(request.settings))
        _refuse_small_cores(config)
        return config

    @cache
    def checkpoint_hash(recognizer: RecognizerConfig, mpp: float) -> str | None:
        return _check_checkpoint(request.checkpoint, recognizer, mpp)

    def check_config(name: str) -> None:
        config = config_of(name)
        checkpoint_hash(config.recognizer, config.grid.mpp)

    tasks, named = list[SlideTask](), set[int]()
    for number, row in enumerate(_rows(request, check_config, say)):
        if row.id:
            named.add(number)
        config = config_of(row.config) if row.config else request.config
        tasks.append(_task(row, request, config, checkpoint_hash(config.recognizer, config.grid.mpp)))
    return separate_folders(tasks, named)


def _task(row: Row, request: Request, config: Config, checkpoint_sha256: str | None) -> SlideTask:
    """Task of one row; what the row says of its slide goes before what the request says of all."""
    name, parent, options = row.id or row.slide.stem, request.out.absolute(), request.slide_options
    if row.mpp:
        options["slide_mpp"] = row.mpp
    if row.roi:
        options["roi"] = row.roi.absolute()
    return SlideTask(
        slide=row.slide.absolute(),
        slide_id=name,
        out=(parent / row.out if row.out else parent) / name,
        config=config,
        checkpoint_sha256=checkpoint_sha256,
        refused=row.refused,
        **options,
    )


def _refuse_small_cores(config: Config) -> None:
    refuse_small_cores(config.tiles.core_px, halo_px_of(config, config.grid.mpp))


def _rows(request: Request, check_config: Callable[[str], None], say: Callable[[str], object]) -> list[Row]:
    """Rows of manifests, and one for each slide named otherwise; a slide without an id appears once."""
    rows: list[Row] = []
    for text in request.inputs:
        if is_manifest(text):
            rows += read_manifest(Path(text), check_config, out=request.out)
            continue
        found = find_slides([text], skip=request.out)
        rows += [Row(path) for path in found.slides]
        rows += [Row(path, refused=reason) for path, reason in found.refused.items()]
        if found.note:
            say(f"{text}: {found.note}")
    return list({(os.path.realpath(row.slide), row.id, row.out): row for row in reversed(rows)}.values())[::-1]


def _check_checkpoint(path: Path | None, recognizer: RecognizerConfig, mpp: float) -> str | None:
    """Hash of the checkpoint that a method takes; None where a network is learnt on each slide."""
    if recognizer.method == "psm" and path is None:
        return None
    model = path or shipped_model(recognizer.stain)
    if path is not None or not fits_resolution(mpp, SHIPPED_MPP):  # else it fits
        _refuse_unfit(model, recognizer, mpp)
    return file_hash(model)


def _refuse_unfit(path: Path, recognizer: RecognizerConfig, mpp: float) -> None:
    from wsipsm.nuclei.calibrate import load_segmenter

    stain = recognizer.stain
    try:
        if recognizer.method == "segmenter":
            load_segmenter(path, mpp=mpp, stain=stain, device="cpu")
        else:
            from wsipsm.nuclei.calibrate_psm import load_encoder

            load_encoder(path, stain=stain, device="cpu")
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None

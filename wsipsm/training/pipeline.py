"""Pipeline of a training: slides in, a segmenter out.

::

    inputs -> slide samples -> encoder -> pseudo labels -> segmenter, retrained on its own labels round by round

Labels by hue (``pseudolabels.source``) need no encoder.

Every stage writes files from which a killed training resumes. On one CPU, with the same number of threads, it then ends
with the same bits as an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wsipsm.config import Config
from wsipsm.core.errors import ConfigError
from wsipsm.core.events import Observer, ignore
from wsipsm.core.files import file_hash, make_folder
from wsipsm.core.lock import locked
from wsipsm.core.own_files import remove_owned
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.nets.checkpoint import save_checkpoint
from wsipsm.nuclei.nets.device import pick_device
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.training.context import TrainingContext
from wsipsm.training.folder import Folder, Record, stage_digests
from wsipsm.training.inputs import Skipped, Source, find_sources, refuse_nothing
from wsipsm.training.metrics import Metrics
from wsipsm.training.preparation import label_slides, learn_encoder, needs_encoder, require_labels, sample_slides
from wsipsm.training.report import write_report
from wsipsm.training.self_training import train_segmenter

Stage = Literal["all", "pretrain", "pseudomask", "segmenter"]


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Request for a training.

    Attributes
    ----------
    inputs : sequence of str
        Slides, plain images, folders, patterns or manifests.
    out : Path
        Output folder.
    config : Config
        Sections ``grid``, ``tissue``, ``recognizer`` (its stain), ``encoder``, ``pseudomask``, ``pseudolabels``,
        ``segmenter``, ``labels`` and ``training``.
    stage : {'all', 'pretrain', 'pseudomask', 'segmenter'}
        Last stage to run; ``segmenter`` runs it alone, on the files of the stages before.
    init : Path, optional
        Segmenter to start from; it also labels the first round.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, overriding the slides' metadata.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    fresh : bool
        Remove the files of an earlier training that its record lists.
    """

    inputs: Sequence[str]
    out: Path
    config: Config
    stage: Stage = "all"
    init: Path | None = None
    slide_mpp: float | None = None
    device: str = "auto"
    fresh: bool = False


def train(request: TrainRequest, on_event: Observer = ignore) -> Path:
    """Train a segmenter on slides without annotations.

    Parameters
    ----------
    request : TrainRequest
        Slides, configuration, output folder.
    on_event : callable
        Receives the events of the training; an exception that it raises ends the training, which can be resumed.

    Returns
    -------
    Path
        Result of the last stage: ``encoder.safetensors``, the folder ``pseudolabels``, or ``model.safetensors``.

    Raises
    ------
    InputError, SlideError, FitError
        No usable input, or an input that must not be learnt from, such as a label image.
    CheckpointError
        ``init`` is no segmenter, or the results of earlier stages are missing.
    OutputError
        The folder cannot be written, holds another training, or files that are not of a training.
    LockedError
        Another training, or a run, works in the folder.
    """
    init = _start(request)
    sources, skipped = find_sources(request.inputs, slide_mpp=request.slide_mpp, skip=request.out)
    refuse_nothing(sources, skipped)
    make_folder(request.out)
    with locked(request.out):
        return _train(request, sources, _begin(request, sources, skipped, on_event), init)


def _train(
    request: TrainRequest, sources: list[Source], training: TrainingContext, init: SegmentationNet | None
) -> Path:
    """Run the stages up to the requested one."""
    if training.folder.model.is_file() and request.stage in ("all", "segmenter"):
        training.message(f"{training.folder.path}: already trained; --fresh starts anew")
        return _close(training)
    for one in training.skipped:
        training.report_left_out(one)
    samples = sample_slides(training, sources)
    encoder = learn_encoder(training, samples) if needs_encoder(request.config) else None
    if request.stage == "pretrain":
        return training.folder.encoder
    samples = label_slides(training, samples, encoder)
    if request.stage == "pseudomask":
        if not training.folder.model.is_file():
            write_report(training, samples, None)
        return training.folder.path / "pseudolabels"
    net = train_segmenter(training, samples, init)
    write_report(training, samples, net)
    save_checkpoint(training.folder.model, net.checkpoint())
    return _close(training)


def _start(request: TrainRequest) -> SegmentationNet | None:
    """Check the request before slides are opened; return the segmenter to start from."""
    device = pick_device(request.device)
    if request.stage == "pretrain" and not needs_encoder(request.config):
        raise ConfigError(
            "pseudolabels.source=hue has no encoder to pretrain: expected --stage pseudomask or segmenter"
        )
    if request.stage == "segmenter" and not request.fresh:
        require_labels(Folder(request.out), request.config)
    if request.init is None:
        return None
    config = request.config
    return load_segmenter(request.init, mpp=config.grid.mpp, stain=config.recognizer.stain, device=device)


def _begin(request: TrainRequest, sources: list[Source], skipped: list[Skipped], on_event: Observer) -> TrainingContext:
    """Context of the training, whose folder is empty or holds the same training unfinished."""
    folder, config, device = Folder(request.out), request.config, pick_device(request.device)
    init = file_hash(request.init) if request.init else None
    unused: dict[str, Any] = dict.fromkeys(("tiles", "cells", "output", "schedule"), True)
    used = config.model_dump(mode="json", exclude=unused | {"recognizer": {"method"}})
    facts = {
        "inputs": [source.to_dict() for source in sources],
        "skipped": [one.to_dict() for one in skipped],
        "config": used,
        "init": {"path": str(request.init), "sha256": init} if request.init else None,
        "device": device,
    }
    content = [[source.fingerprint, source.mpp] for source in sources]
    digests = stage_digests(used, content, init)
    return TrainingContext(
        config=config,
        folder=folder,
        record=Record.begin(folder, digests, facts, fresh=request.fresh),
        digests=digests,
        device=device,
        on_event=on_event,
        metrics=Metrics(folder.metrics),
        skipped=skipped,
    )


def _close(training: TrainingContext) -> Path:
    """Remove the states that only a resumed training needs, and mark the training as done."""
    keys = training.config.training
    remove_owned(training.folder.states(rounds=keys.rounds, members=keys.members))
    if training.record.table["status"] != "done":
        training.record.table["status"] = "done"
        training.record.write()
    return training.folder.model

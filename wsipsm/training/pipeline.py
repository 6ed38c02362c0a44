"""The path of a training: slides in, a segmenter out.

::

    inputs -> fields -> encoder -> pseudo labels -> segmenter -> the segmenter on its own labels, again and again

Every arrow leaves files, and a training that was killed goes on from them: on one CPU, with the same number of threads,
it ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wsipsm.config import Config
from wsipsm.core.files import file_hash, make_folder
from wsipsm.core.lock import locked
from wsipsm.core.own_files import remove_owned
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.nets.checkpoint import save_checkpoint
from wsipsm.nuclei.nets.device import pick_device
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.training import stages
from wsipsm.training.fields import Material
from wsipsm.training.folder import Folder, Record, stage_digests
from wsipsm.training.inputs import Skipped, Source, find_sources, refuse_nothing
from wsipsm.training.metrics import Metrics
from wsipsm.training.report import write_report
from wsipsm.training.training import Training, Watcher

Stage = Literal["all", "pretrain", "pseudomask", "segmenter"]


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What the user asked for.

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
        Up to where; ``segmenter`` is the last alone, on what the others left.
    init : Path, optional
        Segmenter to start from; it gives the labels of the first round too.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, instead of what the slides say.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    fresh : bool
        Drop what an earlier training left, as far as its record lists it.
    """

    inputs: Sequence[str]
    out: Path
    config: Config
    stage: Stage = "all"
    init: Path | None = None
    slide_mpp: float | None = None
    device: str = "auto"
    fresh: bool = False


def train(request: TrainRequest, watcher: Watcher) -> Path:
    """Learn a segmenter from slides alone.

    Returns
    -------
    Path
        What the last stage left: ``encoder.pt``, the folder ``pseudolabels``, or ``model.pt``.

    Raises
    ------
    InputError, SlideError, FitError
        Nothing to learn from, or something that must not be learnt from.
    CheckpointError
        ``init`` is no segmenter, or the stages before the one asked for are missing.
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
        return _train(request, sources, _begin(request, sources, skipped, watcher), init)


def _train(request: TrainRequest, sources: list[Source], training: Training, init: SegmentationNet | None) -> Path:
    """Go through the stages as far as is asked."""
    watcher = training.watcher
    if training.folder.model.is_file() and request.stage in ("all", "segmenter"):
        watcher.said(f"{training.folder.path}: already trained; --fresh starts anew")
        return _close(training)
    for one in training.skipped:
        training.tell(one)
    materials = stages.sample(training, sources)
    encoder = stages.learn_encoder(training, materials)
    if request.stage == "pretrain":
        return training.folder.encoder
    materials = stages.label_by_psm(training, materials, encoder)
    if request.stage == "pseudomask":
        if not training.folder.model.is_file():
            write_report(training, materials, None)
        return training.folder.labels("-").parent
    mean = stages.learn_segmenter(training, materials, init)
    return _finish(training, materials, mean)


def _start(request: TrainRequest) -> SegmentationNet | None:
    """Segmenter to start from; what can be refused before slides are opened is refused here."""
    device = pick_device(request.device)
    if request.stage == "segmenter" and not request.fresh:
        stages.require_labels(Folder(request.out))
    if request.init is None:
        return None
    config = request.config
    return load_segmenter(request.init, mpp=config.grid.mpp, stain=config.recognizer.stain, device=device)


def _begin(request: TrainRequest, sources: list[Source], skipped: list[Skipped], watcher: Watcher) -> Training:
    """Training in its folder, which holds nothing or the beginnings of this very training."""
    folder, config = Folder(request.out), request.config
    unused: dict[str, Any] = dict.fromkeys(("tiles", "cells", "output", "schedule"), True)
    used = config.model_dump(mode="json", exclude=unused | {"recognizer": {"method"}})
    facts = {
        "inputs": [source.to_dict() for source in sources],
        "skipped": [one.to_dict() for one in skipped],
        "config": used,
        "init": {"path": str(request.init), "sha256": file_hash(request.init)} if request.init else None,
        "device": pick_device(request.device).type,
    }
    content = [[source.fingerprint, source.mpp] for source in sources]
    digests = stage_digests(used, content, file_hash(request.init) if request.init else None)
    return Training(
        config=config,
        folder=folder,
        record=Record.begin(folder, digests, facts, fresh=request.fresh),
        digests=digests,
        device=pick_device(request.device),
        watcher=watcher,
        metrics=Metrics(folder.metrics),
        skipped=skipped,
    )


def _finish(training: Training, materials: list[Material], mean: Segmenter) -> Path:
    """Write the model and the report, and drop what only a resumed training needs."""
    folder, last = training.folder, training.config.training.rounds
    net = SegmentationNet(
        mean,
        mpp=training.config.grid.mpp,
        stain=training.config.recognizer.stain,
        provenance=stages.provenance(training, number=last),
        device=training.device,
    )
    write_report(training, materials, net)
    save_checkpoint(folder.model, net.checkpoint())
    return _close(training)


def _close(training: Training) -> Path:
    """Drop what only a resumed training needs."""
    keys = training.config.training
    remove_owned(training.folder.pairs(rounds=keys.rounds, members=keys.members))
    if training.record.table["status"] != "done":
        training.record.table["status"] = "done"
        training.record.write()
    return training.folder.model

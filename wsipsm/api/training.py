"""Learn from slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from wsipsm.api.inputs import Device, PathLike, Stage, as_config, as_path, listed, refuse_other
from wsipsm.config import Config
from wsipsm.core.events import Observer, ignore
from wsipsm.core.words import python_words


@python_words
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
    config, settings, device, fresh, on_event
        As in `run`.
    stage : {'all', 'pretrain', 'pseudomask', 'segmenter'}
        Up to where to go; ``segmenter`` is the last stage alone.
    init : path, optional
        Segmenter to start from; it labels the first round.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, for inputs that do not say.

    Returns
    -------
    Path
        What the last stage left: ``model.safetensors``, which `run` takes as ``checkpoint``; ``encoder.safetensors``;
        or the folder of pseudo labels.

    Raises
    ------
    WsipsmError
        Nothing to learn from, or a folder or checkpoint that cannot be used.
    """
    refuse_other("stage", stage, get_args(Stage))
    refuse_other("device", device, get_args(Device))
    loaded = as_config(config, settings)  # before PyTorch is imported: a mistake shows at once
    from wsipsm.training.pipeline import TrainRequest
    from wsipsm.training.pipeline import train as train_pipeline

    request = TrainRequest(
        inputs=listed(inputs),
        out=Path(out),
        config=loaded,
        stage=stage,
        init=as_path(init),
        slide_mpp=slide_mpp,
        device=device,
        fresh=fresh,
    )
    return train_pipeline(request, on_event)

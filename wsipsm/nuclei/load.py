"""Recognisers from their checkpoints."""

from __future__ import annotations

from pathlib import Path

from wsipsm.core.errors import CheckpointError
from wsipsm.nuclei.nets.checkpoint import load_checkpoint
from wsipsm.nuclei.nets.device import Device
from wsipsm.nuclei.recognizer import Recognizer, SegmenterRecognizer
from wsipsm.stain.normalise import SlideStats

_KINDS = "fit", SegmenterRecognizer.kind


def load_recognizer(path: Path, *, device: Device) -> Recognizer:
    """Recogniser of a checkpoint of kind ``fit`` or ``segmenter-fit``.

    Raises
    ------
    CheckpointError
        It is not one.
    """
    checkpoint = load_checkpoint(path, kinds=_KINDS)
    table, recognizer = checkpoint.table, _class_of(checkpoint.kind)
    try:
        stats, fitted_on = SlideStats.from_dict(table["stats"]), str(table.get("fitted_on", ""))
        return recognizer.of_checkpoint(checkpoint, stats, fitted_on, device=device)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the constants of the slide are missing or malformed: {error}") from None


def _class_of(kind: str) -> type[Recognizer]:
    if kind == SegmenterRecognizer.kind:
        return SegmenterRecognizer
    from wsipsm.nuclei.psm import PsmRecognizer  # which PyTorch computes

    return PsmRecognizer


def fits(path: Path, fitted_on: str) -> bool:
    """Whether a checkpoint holds the constants of this very slide and these settings.

    Raises
    ------
    CheckpointError
        It is no checkpoint.
    """
    checkpoint = load_checkpoint(path)
    return checkpoint.kind in _KINDS and checkpoint.table.get("fitted_on") == fitted_on

"""Pseudo labels of the fields of a slide, on disk."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from wsipsm.config import Config
from wsipsm.core.errors import CheckpointError
from wsipsm.nuclei.activation import ActivationNet, Device
from wsipsm.nuclei.calibrate import calibrate_psm
from wsipsm.training.fields import Material, write_arrays
from wsipsm.training.teacher import Taught, labels_of_psm

_NAMES = ("labels", "probability", "activation")


def make_labels(one: Material, net: ActivationNet, config: Config, *, file: Path, device: Device) -> None:
    """Label the fields of a slide by its pseudo mask, unless the file stands from before.

    Raises
    ------
    FitError
        The slide has too little tissue to fit its clusters.
    OutputError
        The file cannot be written.
    """
    try:
        load_labels(file)
    except CheckpointError:  # not there, or of a disk that failed
        recognizer = calibrate_psm(one.patches(), config, encoder=net, device=device)
        found = [labels_of_psm(field, recognizer, config) for field in one.fields]
        write_arrays(file, {name: np.stack([getattr(taught, name) for taught in found]) for name in _NAMES})


def load_labels(file: Path) -> list[Taught]:
    """Pseudo labels of the fields of a slide, in their order.

    Raises
    ------
    CheckpointError
        The file is missing or damaged.
    """
    try:
        with np.load(file) as kept:
            planes = [kept[name] for name in _NAMES]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise CheckpointError(f"{file}: no pseudo labels ({error}); the same command makes them again") from None
    return [Taught(*three) for three in zip(*planes, strict=True)]

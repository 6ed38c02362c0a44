"""Checkpoints that come with the package; ``MODEL_CARD.md`` beside them says what they were trained on."""

from __future__ import annotations

from pathlib import Path

from wsipsm.core.errors import CheckpointError
from wsipsm.core.stains import Stain
from wsipsm.stain.registry import STAINS

SHIPPED_MPP = 0.5
"""Micrometres per pixel that they were trained at."""

RESOLUTION_TOLERANCE = 0.1
"""Largest relative difference between the resolutions of a run and of a segmenter's training."""


def fits_resolution(mpp: float, trained: float) -> bool:
    """Whether a segmenter that was trained at ``trained`` µm/px can be used at ``mpp``."""
    return abs(mpp / trained - 1) <= RESOLUTION_TOLERANCE


def shipped_model(stain: Stain = "he") -> Path:
    """Segmenter for slides of these stains.

    Raises
    ------
    CheckpointError
        The installation lacks the file.
    """
    path = Path(__file__).parent / STAINS[stain].model
    if not path.is_file():
        raise CheckpointError(f"{path}: the installation lacks its segmenter; give one with --checkpoint")
    return path

"""Checkpoints that come with the package; ``MODEL_CARD.md`` beside them says what they learnt from."""

from __future__ import annotations

from pathlib import Path

from wsipsm.errors import CheckpointError


def shipped_model(stain: str = "he") -> Path:
    """Segmenter for H&E slides, or for ``unknown`` stains.

    Raises
    ------
    CheckpointError
        The installation lacks the file.
    """
    path = Path(__file__).parent / {"he": "he.pt", "unknown": "agnostic.pt"}[stain]
    if not path.is_file():
        raise CheckpointError(f"{path}: the installation lacks its segmenter; give one with --checkpoint")
    return path

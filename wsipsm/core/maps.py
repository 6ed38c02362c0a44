"""Format of the maps that the networks compute for every pixel and that cells are found in."""

from __future__ import annotations

CHANNELS = ("activation", "evidence", "nuclear_stain", "counterstain")
"""Maps of a block in order, uint8; with a segmenter, ``activation`` holds its nucleus probability."""


DECISION = 128
"""Least evidence of a pixel of the pseudo mask; no cell candidate is sought below it."""


OD_PER_STEP = 0.02
"""Optical density per step of the stain maps. Their bytes are int8, so that noise around 0 is not clipped."""

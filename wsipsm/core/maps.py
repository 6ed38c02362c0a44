"""The contract of the maps: what networks write for every pixel and cells are found in."""

from __future__ import annotations

CHANNELS = ("activation", "evidence", "nuclear_stain", "counterstain")
"""Maps of a block, in order; with a segmenter the first is its probability of nucleus."""


DECISION = 128
"""Evidence at the border of the pseudo mask; no candidate is sought below."""


OD_PER_STEP = 0.02
"""Optical density of one step of the stain maps, whose bytes are int8: noise around 0 must not be cut off."""

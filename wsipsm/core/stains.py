"""Names of the stains; ``wsipsm/stain/registry.py`` holds what is known of each."""

from __future__ import annotations

from typing import Literal

Stain = Literal["he", "ihc", "unknown"]
"""Values of ``recognizer.stain``."""

WITH_MARKER: frozenset[Stain] = frozenset({"ihc"})
"""Stains whose counterstain is a chromogen that tells positive cells from negative ones."""

"""Names of the stains; ``wsipsm/stain/registry.py`` holds what is known of each."""

from __future__ import annotations

from typing import Literal

Stain = Literal["he", "unknown"]
"""Values of ``recognizer.stain``."""

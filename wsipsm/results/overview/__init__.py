"""Overview: one picture of a slide's result, to check it at a glance.

The upper row shows the tissue with its outline and the density of cells, the lower row close-ups with the outlines of
cells. It is drawn from a thumbnail, a coarse histogram and small crops, whatever the size of the slide.
"""

from __future__ import annotations

from wsipsm.results.overview.closeups import Bins, pick_closeups
from wsipsm.results.overview.contents import CloseUp, Overview, thumbnail_mpp
from wsipsm.results.overview.sheet import draw_overview

__all__ = ["Bins", "CloseUp", "Overview", "draw_overview", "pick_closeups", "thumbnail_mpp"]

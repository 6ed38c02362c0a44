"""Overview: one picture of a slide's result, to see at a glance whether it can be trusted.

Above, the tissue with its outline and the density of cells; below, close-ups of real pixels with the outlines of the
cells. Everything is drawn from a thumbnail, a coarse histogram and small crops, whatever the size of the slide.
"""

from __future__ import annotations

from wsipsm.results.overview.closeups import pick_closeups
from wsipsm.results.overview.contents import CloseUp, Overview, thumbnail_mpp
from wsipsm.results.overview.sheet import draw_overview

__all__ = ["CloseUp", "Overview", "draw_overview", "pick_closeups", "thumbnail_mpp"]

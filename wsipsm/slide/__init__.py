"""Slides: open one, read its working plane at any resolution, describe it, list the ones of a folder.

OpenSlide is asked first, Pillow reads plain images, and TIAToolbox the rest; it is imported only then.
"""

from __future__ import annotations

from wsipsm.slide.base import Level, Slide, Thumbnail, fingerprint_of, qupath_origin
from wsipsm.slide.describe import describe, describe_file
from wsipsm.slide.open import open_slide
from wsipsm.slide.paths import slide_paths
from wsipsm.slide.readers.openslide import openslide_versions

__all__ = [
    "Level",
    "Slide",
    "Thumbnail",
    "describe",
    "describe_file",
    "fingerprint_of",
    "open_slide",
    "openslide_versions",
    "qupath_origin",
    "slide_paths",
]

"""Slides: open, read at any resolution, describe, list those of a folder.

OpenSlide, Pillow, tifffile, zarr and TIAToolbox read them; `wsipsm.slide.open` says which reads what.
"""

from __future__ import annotations

from wsipsm.slide.base import Slide, qupath_origin
from wsipsm.slide.describe import describe, describe_file
from wsipsm.slide.fingerprint import fingerprint_of
from wsipsm.slide.header import Level, Thumbnail
from wsipsm.slide.open import open_slide
from wsipsm.slide.paths import find_slides, slide_paths
from wsipsm.slide.readers.openslide import openslide_versions

__all__ = [
    "Level",
    "Slide",
    "Thumbnail",
    "describe",
    "describe_file",
    "find_slides",
    "fingerprint_of",
    "open_slide",
    "openslide_versions",
    "qupath_origin",
    "slide_paths",
]

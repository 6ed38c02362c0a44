"""Sample of a slide: patches for the encoder and for the slide's constants, fields for the segmenter."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.config import Config, TrainingConfig
from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Box, Grid
from wsipsm.nuclei.calibrate import slide_stats
from wsipsm.slide import Slide, open_slide
from wsipsm.stain.normalise import SlideStats
from wsipsm.tissue.find import find_tissue
from wsipsm.tissue.region import Region
from wsipsm.tissue.sampling import Images, patch_boxes, points_inside, read_boxes
from wsipsm.training.inputs import Source

_WHOLE = 1.25
_DRAWN_PER_FIELD = 32
_MIN_DISTANCE = 0.75
"""Smallest distance of two fields, in sides of a field (Chebyshev)."""


@dataclass(frozen=True, eq=False)
class SlideSample:
    """Fields and patches of one slide.

    Attributes
    ----------
    source : Source
        The slide.
    file : Path
        The ``.npz`` file with fields and patches; the patches are read from it when they are needed.
    fields : (n, y, x, 3) uint8
        RGB at ``config.grid.mpp``.
    stats : SlideStats
        Of the slide, over its patches.
    """

    source: Source
    file: Path
    fields: Images
    stats: SlideStats

    def patches(self) -> Images:
        """Patches over the tissue, (n, p, p, 3) uint8."""
        (patches,) = load_arrays(self.file, ["patches"])
        return patches


def slide_sample(source: Source, config: Config, *, file: Path) -> SlideSample:
    """Sample of a slide, read from its file or, where that is missing or damaged, drawn and written.

    Parameters
    ----------
    source : Source
        A slide to learn from.
    config : Config
        Of the training.
    file : Path
        Of the sample.

    Raises
    ------
    FitError
        Too little tissue, or a slide smaller than a crop of the segmenter.
    SlideError
        The slide cannot be read, or is coarser than the working resolution.
    OutputError
        The file cannot be written.
    """
    try:
        fields, table = load_arrays(file, ["fields", "stats"])
        return SlideSample(source, file, fields, SlideStats.from_dict(json.loads(str(table))))
    except (CheckpointError, ValueError, KeyError, TypeError):
        pass
    with open_slide(source.path, mpp=source.mpp) as slide:
        patches, fields = sample_slide(slide, config, fingerprint=source.fingerprint)
    stats = slide_stats(patches, config)
    write_arrays(file, {"fields": fields, "patches": patches, "stats": np.array(json.dumps(stats.to_dict()))})
    return SlideSample(source, file, fields, stats)


def sample_slide(slide: Slide, config: Config, *, fingerprint: str) -> tuple[Images, Images]:
    """Patches and fields over the tissue of a slide; a copy of the slide under another name gives the same.

    Parameters
    ----------
    slide : Slide
        Open.
    config : Config
        Sections ``grid``, ``tissue``, ``encoder`` and ``training`` are used.
    fingerprint : str
        Of the slide, which seeds the draw.

    Raises
    ------
    FitError
        No tissue, or a slide smaller than a crop of the segmenter.
    """
    grid, smallest = slide.grid(config.grid.mpp), config.training.patch_px
    if min(grid.shape) < smallest:
        raise FitError(
            f"{slide.path}: {grid.width} x {grid.height} px at {grid.mpp:g} um/px, expected at least {smallest} each: "
            "learn from more tissue"
        )
    tissue = find_tissue(slide, config.tissue)
    if (region := tissue.region).empty:
        raise FitError(f"{slide.path}: {tissue.why_empty}; learn from a slide with tissue")
    patches = read_boxes(slide, patch_boxes(region, grid, config.encoder), grid)
    rng = np.random.default_rng((config.training.seed, int(fingerprint[:16], 16)))
    return patches, read_boxes(slide, field_boxes(region, grid, config.training, rng), grid)


def field_boxes(region: Region, grid: Grid, config: TrainingConfig, rng: np.random.Generator) -> list[Box]:
    """Boxes of the fields of a slide, in grid px and row-major order, inside the plane.

    Centres are drawn inside the region; a field too near to one drawn before is dropped, so a small region may have
    fewer fields. A plane that is hardly larger than a field is one field.

    Parameters
    ----------
    region : Region
        Not empty, level-0 px.
    grid : Grid
        The working plane.
    config : TrainingConfig
        Number and side of the fields.
    rng : numpy.random.Generator
        The only source of randomness.
    """
    side = config.field_px
    if max(grid.shape) <= _WHOLE * side:
        return [grid.box]
    width, height = min(side, grid.width), min(side, grid.height)
    drawn = points_inside(region, _DRAWN_PER_FIELD * config.fields, rng) / grid.downsample
    limits = np.array([grid.width - width, grid.height - height])
    corners = np.clip(np.floor(drawn - np.array([width, height]) / 2).astype(int), 0, limits)
    chosen: list[npt.NDArray[np.int64]] = []
    for corner in corners:
        if len(chosen) < config.fields and all(np.abs(corner - c).max() >= _MIN_DISTANCE * side for c in chosen):
            chosen.append(corner)
    return [Box(x, y, x + width, y + height) for y, x in sorted((int(y), int(x)) for x, y in chosen)]


def write_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write an ``.npz`` file whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stubs take a name for allow_pickle
    write_bytes(path, buffer.getvalue())


def load_arrays(path: Path, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """Arrays of an ``.npz`` file, in the order of the names.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, or lacks an array.
    """
    try:
        with np.load(path) as kept:
            return [kept[name] for name in names]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); remove it and run the same command again") from None

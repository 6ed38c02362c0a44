"""What is taken from a slide to learn from: patches for its constants, fields for the segmenter."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.config import Config, TrainingConfig
from wsipsm.core.errors import FitError
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Box, Grid
from wsipsm.slide import Slide, open_slide
from wsipsm.stain.normalise import SlideStats, measure_slide
from wsipsm.tissue.find import find_tissue
from wsipsm.tissue.region import Region
from wsipsm.tissue.sampling import Images, patch_boxes, points_inside, read_boxes
from wsipsm.training.inputs import Source

_WHOLE = 1.25
_DRAWN_PER_FIELD = 32
_APART = 0.75


@dataclass(frozen=True, eq=False)
class Material:
    """What was taken from one slide.

    Attributes
    ----------
    source : Source
        The slide.
    file : Path
        Where fields and patches are kept; the patches are read from it when they are needed.
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
        with np.load(self.file) as kept:
            return np.asarray(kept["patches"])


def material(source: Source, config: Config, *, file: Path) -> Material:
    """Fields and patches of a slide, from the file where it stands from before, else sampled and kept there.

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
        with np.load(file) as kept:
            return Material(source, file, kept["fields"], SlideStats.from_dict(json.loads(str(kept["stats"]))))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError):
        pass  # not there, or of a disk that failed: it is made again
    with open_slide(source.path, mpp=source.mpp) as slide:
        patches, fields = sample_slide(slide, config, fingerprint=source.fingerprint)
    stats = measure_slide(patches, config.recognizer.stain)
    write_arrays(file, {"fields": fields, "patches": patches, "stats": np.array(json.dumps(stats.to_dict()))})
    return Material(source, file, fields, stats)


def sample_slide(slide: Slide, config: Config, *, fingerprint: str) -> tuple[Images, Images]:
    """Patches and fields over the tissue of a slide; the same for a copy of the slide under another name."""
    grid, smallest = slide.grid(config.grid.mpp), config.training.patch_px
    if min(grid.shape) < smallest:
        raise FitError(
            f"{slide.path}: {grid.width} x {grid.height} px at {grid.mpp:g} um/px, expected at least {smallest} each: "
            "learn from more tissue"
        )
    region = find_tissue(slide, config.tissue)
    if region.empty:
        raise FitError(f"{slide.path}: no tissue found, learn from a slide with tissue")
    patches = read_boxes(slide, patch_boxes(region, grid, config.encoder), grid)
    rng = np.random.default_rng((config.training.seed, int(fingerprint[:16], 16)))
    return patches, read_boxes(slide, field_boxes(region, grid, config.training, rng), grid)


def field_boxes(region: Region, grid: Grid, config: TrainingConfig, rng: np.random.Generator) -> list[Box]:
    """Boxes of the fields of a slide, in grid px and in row-major order; they lie in the plane.

    Their middles are drawn in the region, apart from each other where it is large enough. A plane that is hardly
    larger than a field is one field.

    Parameters
    ----------
    region : Region
        Not empty, level-0 px.
    grid : Grid
        The working plane.
    config : TrainingConfig
        Number and side.
    rng : numpy.random.Generator
        Decides where.
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
        if len(chosen) < config.fields and all(np.abs(corner - c).max() >= _APART * side for c in chosen):
            chosen.append(corner)
    return [Box(x, y, x + width, y + height) for y, x in sorted((int(y), int(x)) for x, y in chosen)]


def write_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write an ``.npz`` file whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its stubs take a name for allow_pickle
    write_bytes(path, buffer.getvalue())

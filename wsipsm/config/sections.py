"""Sections of a run's configuration, in the order of its path; a default lives here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wsipsm.config.base import RUNS, Purpose, Section


class GridConfig(Section):
    """The working plane."""

    mpp: float = Field(default=0.5, ge=0.05, le=20)
    """Micrometres per grid pixel. Within 3 % of a whole multiple of the slide's pixel, that multiple is used."""


class TissueConfig(Section):
    """Where on the slide to look."""

    mpp: float = Field(default=8.0, ge=1, le=64)
    """Micrometres per pixel of the plane on which tissue is found."""
    min_area_um2: float = Field(default=20_000, ge=0)
    """Smaller pieces are dropped, square micrometres."""
    max_hole_um2: float = Field(default=50_000, ge=0)
    """Smaller holes are filled, square micrometres."""
    margin_um: float = Field(default=16, ge=0)
    """The outline is moved outwards by this, micrometres."""
    smooth_um: float = Field(default=12, ge=0)
    """Standard deviation of the smoothing before the threshold, micrometres."""
    min_density: float = Field(default=0.02, gt=0)
    """Fainter than this above the glass is never tissue, optical density (colour, plus half of the mean)."""
    max_density: float = Field(default=0.045, gt=0)
    """Denser than this is always tissue, optical density; Otsu's threshold holds only between the two."""
    min_texture: float = Field(default=0.012, gt=0)
    """Where density varies locally by more than this (standard deviation, optical density) is tissue, however faint."""
    exclude_pen: bool = True
    """Leave out pen strokes and black borders; false keeps them as tissue."""
    pen_width_um: float = Field(default=100, ge=0)
    """Ink thinner than this is taken for stain, micrometres."""
    pen_margin_um: float = Field(default=40, ge=0)
    """What lies this near to ink is left out too, micrometres."""


class TilesConfig(Section):
    """Units of work."""

    other_purposes: ClassVar[Mapping[str, frozenset[Purpose]]] = {
        "core_px": frozenset({"schedule"}),
        "order": frozenset({"schedule"}),
    }

    core_px: int = Field(default=1024, ge=64)
    """Side of a core in grid pixels: what one tile alone writes; a whole multiple or a whole part of block_px."""
    block_px: int = Field(default=512, ge=32)
    """Side of the network's block in grid pixels; blocks lie on a lattice through the grid's origin."""
    order: Literal["row", "random"] = "row"
    """Order of the tiles; the cells do not depend on it."""

    @model_validator(mode="after")
    def _cores_and_blocks_share_borders(self) -> TilesConfig:
        if self.core_px % self.block_px and self.block_px % self.core_px:
            raise ValueError(
                f"core_px must be a whole multiple or a whole part of block_px={self.block_px}, got {self.core_px}"
            )
        return self

    @property
    def chunk_px(self) -> int:
        """Side of a chunk of what is stored: a block, or a core where that is smaller."""
        return min(self.block_px, self.core_px)


class RecognizerConfig(Section):
    """How nuclei are told from the rest."""

    method: Literal["segmenter", "psm"] = "segmenter"
    """segmenter: a network distilled from pseudo labels; psm: the pseudo mask itself, fitted to each slide."""
    stain: Literal["he", "unknown"] = "he"
    """he: haematoxylin and eosin; unknown: any two stains, found on each slide with no stain vector given."""


class EncoderConfig(Section):
    """Self-supervised activation network."""

    purposes = frozenset({"learning", "training"})
    other_purposes = dict.fromkeys(("seed", "patches", "patch_px"), RUNS | {"training"})  # of the slide's constants too

    seed: int = Field(default=0, ge=0)
    """Seed of patches, initial weights and batches."""
    patches: int = Field(default=96, ge=8)
    """Patches sampled over the tissue of a slide, to learn from and for the slide's constants."""
    patch_px: int = Field(default=128, ge=96, le=512)
    """Side of a patch, grid pixels."""
    width: int = Field(default=12, ge=4, le=64)
    """Channels of a shallow block."""
    blocks: int = Field(default=2, ge=1, le=4)
    """Shallow residual blocks, whose maps are averaged; each widens the receptive field by 4 px."""
    hidden: int = Field(default=24, ge=4, le=256)
    """Hidden units of the head that predicts a cell of the coarse grid."""
    cell_px: int = Field(default=16, ge=4, le=32)
    """Side of a cell of the coarse grid, grid pixels; what is learnt is how much of it is stained like nuclei."""
    steps: int = Field(default=200, ge=1)
    """Optimiser steps."""
    batch: int = Field(default=16, ge=1)
    """Crops a step."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Peak of the one-cycle schedule."""
    threads: int = Field(default=1, ge=1)
    """CPU threads of the fit; another number may change the last bits of what is learnt. More than one wait for each
    other at every layer, which on a busy machine costs seven times what it saves."""


class PseudoMaskConfig(Section):
    """Clustering of pixels."""

    purposes = frozenset({"psm", "training"})

    clusters: int = Field(default=2, ge=2, le=8)
    """k of k-means; nuclei are the cluster of the strongest activation and haematoxylin."""
    smoothing_um: float = Field(default=0.35, ge=0, le=2)
    """Standard deviation of the Gaussian that smooths haematoxylin and eosin, micrometres."""
    activation_weight: float = Field(default=0.4, ge=0, le=4)
    """Weight of the activation map beside haematoxylin, both scaled by the slide's percentiles."""
    eosin_weight: float = Field(default=0.0, ge=0, le=4)
    """Weight of eosin beside haematoxylin, scaled likewise."""
    contrast: float = Field(default=0.5, ge=0, le=1)
    """Share of the surroundings' mean that is taken off every feature, against uneven staining."""
    surroundings_um: float = Field(default=4.0, gt=0, le=16)
    """Standard deviation of the Gaussian window of the surroundings, micrometres."""
    pixels: int = Field(default=50_000, ge=1_000)
    """Tissue pixels of a slide that k-means sees."""


class SegmenterConfig(Section):
    """What of the segmenter's maps can be a cell."""

    purposes = frozenset({"segmenter", "training"})

    threshold: float = Field(default=0.1, ge=0, lt=1)
    """Depth from which on a pixel can belong to a cell: 0 is the outline, 1 the middle of a nucleus."""
    distance_smoothing_um: float = Field(default=0.5, ge=0, le=2)
    """Standard deviation of the Gaussian on the depth before cells are sought, micrometres."""


class LabelsConfig(Section):
    """Instances in what the segmenter found."""

    purposes = frozenset({"segmenter", "training"})

    max_diameter_um: float = Field(default=32, gt=0, le=64)
    """Largest extent of a cell before its growth, micrometres; also sets the halo."""
    min_area_um2: float = Field(default=4, gt=0)
    """Smallest cell before its growth, square micrometres."""
    max_area_um2: float = Field(default=350, gt=0)
    """Largest cell before its growth, square micrometres."""
    usual_area_um2: tuple[float, float, float, float] = (5, 15, 100, 560)
    """Areas that count where ``split`` is by shape: nothing up to the first and from the last on, fully between the
    others, square micrometres."""
    max_hole_um2: float = Field(default=30, ge=0, le=200)
    """Holes (of vesicular nuclei) up to this area and 1.5 times its root across are filled, square micrometres."""
    sharpen_um: float = Field(default=0, ge=0, le=8)
    """Half width of the box blur, applied twice, that sharpens the evidence; 0 leaves it as it is, micrometres."""
    split: Literal["h_maxima", "shape"] = "h_maxima"
    """What tells touching cells apart: peaks of the evidence, or pieces that look more like nuclei than the whole."""
    split_height: float = Field(default=0.19, gt=0, le=1)
    """Two peaks are two cells where both stand this much above the saddle between them, share of the full evidence."""
    growth_um: float = Field(default=4.0, ge=0, le=4)
    """Cells grow by at most this towards the border of the evidence, micrometres."""


class PseudoLabelsConfig(LabelsConfig):
    """Instances in the pseudo mask."""

    purposes = frozenset({"psm", "training"})

    min_area_um2: float = Field(default=6, gt=0)
    """Smallest cell before its growth, square micrometres."""
    sharpen_um: float = Field(default=1.5, ge=0, le=8)
    """Half width of the box blur, applied twice, that sharpens the evidence; 0 leaves it as it is, micrometres."""
    split: Literal["h_maxima", "shape"] = "shape"
    """What tells touching cells apart: peaks of the evidence, or pieces that look more like nuclei than the whole."""
    growth_um: float = Field(default=1.0, ge=0, le=4)
    """Cells grow by at most this towards the border of the evidence, micrometres."""


class CellsConfig(Section):
    """What is recorded of a cell."""

    purposes = RUNS

    min_area_um2: float = Field(default=6, ge=0)
    """Smaller cells are dropped, square micrometres."""
    outline_tolerance_px: float = Field(default=0.2, ge=0, le=4)
    """Outlines are simplified by at most this, grid pixels; 0 keeps every pixel corner."""


class OutputConfig(Section):
    """What is written."""

    purposes = frozenset({"export"})

    objects: Literal["polygons", "points"] = "polygons"
    """Geometry of the GeoJSON objects."""
    object_type: Literal["detection", "annotation", "cell"] = "detection"
    """QuPath object type."""
    origin: Literal["qupath", "level0"] = "qupath"
    """Frame of the GeoJSON: level 0 minus the slide's bounds as QuPath crops them, or plain level 0."""
    max_objects_per_file: int = Field(default=250_000, ge=1)
    """Above it the GeoJSON is split and an import script written; QuPath needs 12 kB of heap an object."""
    arrays: tuple[Literal["instances", "pseudo_mask", "activation"], ...] = ("instances",)
    """Arrays of labels.ome.zarr."""


class ScheduleConfig(Section):
    """Dask."""

    purposes = frozenset({"schedule"})

    workers: int | None = Field(default=None, ge=1)
    """Local worker processes; by default one a CPU core."""
    processes: bool = True
    """Local workers are processes; false makes them threads of one process."""
    in_flight_per_worker: int = Field(default=3, ge=1)
    """Tiles submitted and not yet finished, for each worker."""
    retries: int = Field(default=2, ge=0)
    """Further tries of a failed tile."""
    patience_s: float = Field(default=300, ge=0)
    """How long a scheduler of others that was lost is waited for, seconds."""

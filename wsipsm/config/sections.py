"""Sections of a run's configuration, in the order of its path; a default lives here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wsipsm.config.base import RUNS, Purpose, Section
from wsipsm.core.stains import WITH_MARKER, Stain

StainVector = tuple[float, float, float]
"""Optical density in red, green and blue."""

_LEAST_NORMAL = 0.02


class GridConfig(Section):
    """The working plane."""

    mpp: float = Field(default=0.5, ge=0.05, le=20)
    """Micrometres per grid pixel. Within 3 % of a whole multiple of the slide's pixel, that multiple is used."""


class TissueConfig(Section):
    """Tissue: where on the slide cells are sought."""

    mpp: float = Field(default=8.0, ge=1, le=64)
    """Micrometres per pixel of the plane on which tissue is found."""
    field_mm2: float = Field(default=1.0, ge=0)
    """A picture of up to this area is a field of view: searched whole but for plain glass and pen, square
    millimetres."""
    min_area_um2: float = Field(default=20_000, ge=0)
    """Smaller connected components are dropped, square micrometres."""
    max_hole_um2: float = Field(default=50_000, ge=0)
    """Smaller holes are filled, square micrometres."""
    margin_um: float = Field(default=16, ge=0)
    """Distance by which the outline is moved outwards, micrometres."""
    smooth_um: float = Field(default=12, ge=0)
    """Standard deviation of the Gaussian before the threshold, micrometres."""
    min_density: float = Field(default=0.02, gt=0)
    """What is less dense than this above the background is never tissue, optical density (colour, plus half of the
    mean)."""
    max_density: float = Field(default=0.045, gt=0)
    """What is denser than this is always tissue, optical density; Otsu's threshold is kept between ``min_density`` and
    this."""
    min_texture: float = Field(default=0.012, gt=0)
    """Where the density varies locally by more than this, there is tissue, however faint (half of it where that is
    broad and away from other tissue, as in fat); standard deviation, optical density."""
    exclude_pen: bool = True
    """Leave out pen strokes and black borders; false keeps them as tissue."""
    pen_width_um: float = Field(default=100, ge=0)
    """Ink thinner than this is taken for stained tissue, micrometres."""
    pen_margin_um: float = Field(default=40, ge=0)
    """Margin around ink that is left out too, micrometres."""


class TilesConfig(Section):
    """Tiles, the units of work."""

    other_purposes: ClassVar[Mapping[str, frozenset[Purpose]]] = {
        "core_px": frozenset({"schedule"}),
        "order": frozenset({"schedule"}),
    }

    core_px: int = Field(default=1024, ge=64)
    """Side of a tile's core, which it alone writes, grid pixels; a whole multiple or a whole part of ``block_px``."""
    block_px: int = Field(default=512, ge=32)
    """Side of the blocks that the network sees, grid pixels; they lie on a lattice through the grid's origin."""
    order: Literal["row", "random"] = "row"
    """Order of the tiles, row (two rows at a time, from left to right) or random; the cells do not depend on it."""

    @model_validator(mode="after")
    def _cores_and_blocks_share_borders(self) -> TilesConfig:
        if self.core_px % self.block_px and self.block_px % self.core_px:
            raise ValueError(
                f"core_px must be a whole multiple or a whole part of block_px={self.block_px}, got {self.core_px}"
            )
        return self

    @property
    def chunk_px(self) -> int:
        """Side of a chunk of the stored arrays, grid pixels: a block, or a core where that is smaller."""
        return min(self.block_px, self.core_px)


class RecognizerConfig(Section):
    """How nuclei are recognised."""

    method: Literal["segmenter", "psm"] = "segmenter"
    """segmenter: a network trained on pseudo labels; psm: the pseudo mask itself, calibrated on each slide."""
    stain: Stain = "he"
    """he: haematoxylin and eosin; ihc: haematoxylin and a chromogen, DAB unless ``stain_vectors`` says otherwise;
    unknown: any two stains, whose vectors are estimated on each slide."""
    stain_vectors: tuple[StainVector, StainVector] | Literal["estimate"] | None = None
    """With ``stain: ihc``: optical density in red, green and blue of the nuclear stain and of the chromogen, as
    [[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]], or estimate, on each slide; null: those of haematoxylin and DAB."""

    @model_validator(mode="after")
    def _vectors_have_a_use(self) -> RecognizerConfig:
        if self.stain_vectors is not None and self.stain not in WITH_MARKER:
            raise ValueError(f"stain_vectors are for stain: ihc, got stain: {self.stain}")
        if isinstance(self.stain_vectors, tuple):
            (a, b, c), (d, e, f) = self.stain_vectors
            if max(abs(a * e - b * d), abs(a * f - c * d), abs(b * f - c * e)) < _LEAST_NORMAL:
                raise ValueError("stain_vectors must be two different colours, each with a density above 0")
        return self


class EncoderConfig(Section):
    """Self-supervised activation network."""

    purposes = frozenset({"learning", "training"})
    other_purposes = dict.fromkeys(("seed", "patches", "patch_px"), RUNS | {"training"})  # calibration too

    seed: int = Field(default=0, ge=0)
    """Seed of patches, initial weights and batches."""
    patches: int = Field(default=96, ge=8)
    """Patches sampled over the tissue of a slide, for learning and for the calibration of the slide."""
    patch_px: int = Field(default=128, ge=96, le=512)
    """Side of a patch, grid pixels."""
    width: int = Field(default=12, ge=4, le=64)
    """Channels of a shallow block."""
    blocks: int = Field(default=2, ge=1, le=4)
    """Shallow residual blocks, whose maps are averaged; each widens the receptive field by 4 px."""
    hidden: int = Field(default=24, ge=4, le=256)
    """Hidden units of the head that predicts a cell of the coarse grid."""
    cell_px: int = Field(default=16, ge=4, le=32)
    """Side of a cell of the coarse grid, grid pixels; the target is the share of it that is stained like nuclei."""
    steps: int = Field(default=200, ge=1)
    """Optimiser steps."""
    batch: int = Field(default=16, ge=1)
    """Crops a step."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Peak of the one-cycle schedule."""
    threads: int = Field(default=1, ge=1)
    """CPU threads of the learning; another number may change the last bits of the weights. Several threads wait for
    each other at every layer: on a busy machine that costs seven times what it saves."""


class PseudoMaskConfig(Section):
    """Pseudo mask: pixels of each slide, clustered."""

    purposes = frozenset({"psm", "training"})

    clusters: int = Field(default=2, ge=2, le=8)
    """k of k-means; the cluster of the strongest activation and haematoxylin is the nuclei."""
    smoothing_um: float = Field(default=0.35, ge=0, le=2)
    """Standard deviation of the Gaussian that smooths haematoxylin and eosin, micrometres."""
    activation_weight: float = Field(default=0.4, ge=0, le=4)
    """Weight of the activation map beside haematoxylin, both scaled by the slide's percentiles."""
    eosin_weight: float = Field(default=0.0, ge=0, le=4)
    """Weight of eosin beside haematoxylin, scaled likewise."""
    contrast: float = Field(default=0.5, ge=0, le=1)
    """Share of the surroundings' mean that is subtracted from every feature, against uneven staining."""
    surroundings_um: float = Field(default=4.0, gt=0, le=16)
    """Standard deviation of the Gaussian window of the surroundings, micrometres."""
    pixels: int = Field(default=50_000, ge=1_000)
    """Tissue pixels of a slide that k-means is fitted to."""


class SegmenterConfig(Section):
    """Reading of the segmenter's distance map: 0 at the outline of a nucleus, 1 in its middle."""

    purposes = frozenset({"segmenter", "training"})

    threshold: float | None = Field(default=None, ge=0, lt=1)
    """Distance from which on a pixel can belong to a cell, 0 to 1; null: on each slide, the one at which the nuclear
    stain has fallen half way from nuclei to their surroundings."""
    input_scale: float | None = Field(default=None, gt=0, le=10)
    """Factor on the slide's 99th percentiles of density, by which the network's input is divided; null: on each slide,
    1 where nuclei are as dark as the darkest tissue, up to 2 where they are darker, being few."""
    distance_smoothing_um: float = Field(default=0.5, ge=0, le=2)
    """Standard deviation of the Gaussian on the distance map before cells are sought, micrometres."""


class OutputConfig(Section):
    """Files that are written."""

    purposes = frozenset({"export"})

    objects: Literal["polygons", "points"] = "polygons"
    """Geometry of the GeoJSON objects: polygons or points."""
    object_type: Literal["detection", "annotation", "cell"] | None = None
    """QuPath object type: detection, annotation or cell; null: cell where nuclei grew to whole cells
    (``cells.expand_um``), else detection. Only cells have the outlines of both."""
    origin: Literal["qupath", "level0"] = "qupath"
    """Frame of the GeoJSON. qupath: from the corner of the slide's bounds, as QuPath shows it; level0: from the corner
    of level 0."""
    max_objects_per_file: int = Field(default=250_000, ge=1)
    """Objects above which the GeoJSON is split, with an import script; QuPath needs 12 kB of heap an object."""
    arrays: tuple[Literal["instances", "pseudo_mask", "activation"], ...] = ("instances",)
    """Arrays of labels.ome.zarr: instances, pseudo_mask, activation; whole cells come by themselves."""
    report: bool = True
    """Write report.html, a page to read, for each slide and for the run; wsipsm report makes it later too."""

    def type_of(self, *, whole: bool) -> str:
        """QuPath object type of cells with or without whole outlines."""
        return self.object_type or ("cell" if whole and self.objects == "polygons" else "detection")


class ScheduleConfig(Section):
    """How Dask hands out the work; the cells do not depend on it."""

    purposes = frozenset({"schedule"})

    workers: int | None = Field(default=None, ge=1)
    """Local workers; null: one a CPU core, as far as the memory of a container or batch job lasts, and one a tile."""
    processes: bool = True
    """Whether local workers are processes; false: threads of one process."""
    in_flight_per_worker: int = Field(default=3, ge=1)
    """Tiles submitted and not yet finished, for each worker."""
    retries: int = Field(default=2, ge=0)
    """How often a failed tile is tried again."""
    patience_s: float = Field(default=300, ge=0)
    """How long a lost scheduler (``--scheduler``) is waited for, seconds."""

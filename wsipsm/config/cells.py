"""Sections on cells: how they are told apart in maps, which are written, and what classes they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from wsipsm.config.base import RUNS, Purpose, Section


class LabelsConfig(Section):
    """Instances in the maps of the segmenter."""

    purposes = frozenset({"segmenter", "training"})

    max_diameter_um: float = Field(default=32, gt=0, le=64)
    """Largest extent of a cell before its growth, micrometres; also sets the halo."""
    min_area_um2: float = Field(default=4, gt=0)
    """Smallest cell before its growth, square micrometres."""
    max_area_um2: float = Field(default=350, gt=0)
    """Largest cell before its growth, square micrometres."""
    usual_area_um2: tuple[float, float, float, float] = (5, 15, 100, 560)
    """Plausible areas of a nucleus, for ``split: shape``: weight 0 up to the first and from the last on, 1 between the
    second and the third, square micrometres."""
    max_hole_um2: float = Field(default=30, ge=0, le=200)
    """Holes (of vesicular nuclei) up to this area and 1.5 times its root across are filled, square micrometres."""
    sharpen_um: float = Field(default=0, ge=0, le=8)
    """Half width of the box blur, applied twice, by which the evidence is sharpened, micrometres; 0: not sharpened."""
    min_width_um: float = Field(default=0, ge=0, le=16)
    """Cells whose moment ellipse is narrower than this are dropped, micrometres: slender stroma, specks, fringes."""
    levels: Literal[16, 32] = 16
    """Thresholds at which candidates are sought; more of them part cells at a smaller saddle, and take longer."""
    split: Literal["h_maxima", "shape"] = "h_maxima"
    """How touching cells are separated. h_maxima: at the peaks of the evidence; shape: where the parts look more like
    nuclei than the whole."""
    split_height: float = Field(default=0.19, gt=0, le=1)
    """Two peaks are two cells if both rise this much above the saddle between them, share of the full evidence."""
    growth_um: float = Field(default=4.0, ge=0, le=4)
    """Most by which cells grow towards the border of the evidence, micrometres."""


class PseudoLabelsConfig(LabelsConfig):
    """Instances in the pseudo mask."""

    purposes = frozenset({"psm", "training"})
    other_purposes: ClassVar[Mapping[str, frozenset[Purpose]]] = {"source": frozenset({"training"})}

    source: Literal["pseudo_mask", "hue"] = "pseudo_mask"
    """What the labels of a training are found in. pseudo_mask: activation map and stain, clustered; hue: two planes of
    density, of the pixels that are brown and of those that are blue, for ``stain: ihc``."""
    min_area_um2: float = Field(default=6, gt=0)
    """Smallest cell before its growth, square micrometres."""
    sharpen_um: float = Field(default=1.5, ge=0, le=8)
    """Half width of the box blur, applied twice, by which the evidence is sharpened, micrometres; 0: not sharpened."""
    split: Literal["h_maxima", "shape"] = "shape"
    """How touching cells are separated. h_maxima: at the peaks of the evidence; shape: where the parts look more like
    nuclei than the whole."""
    growth_um: float = Field(default=1.0, ge=0, le=4)
    """Most by which cells grow towards the border of the evidence, micrometres."""


class CellsConfig(Section):
    """Cells that are written, and their outlines."""

    purposes = RUNS

    min_area_um2: float = Field(default=6, ge=0)
    """Smaller cells are dropped, square micrometres."""
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    """Cells of a lower confidence are refused, 0 to 1; null: 0.1 with the segmenter, 0 with the pseudo mask."""
    min_neighbourhood_fill: float | None = Field(default=None, ge=0, le=1)
    """Where cells fill a smaller share of their moment ellipses, mean over about 100 micrometres, all are refused:
    keratin, debris, dye and folds break up into pieces of any shape. null: 0.912 with the segmenter, 0 with the pseudo
    mask, whose cells are chosen by that share."""
    keep_doubtful: bool = False
    """Write refused cells too, with the class Doubtful."""
    expand_um: float = Field(default=0, ge=0, le=16)
    """Distance by which nuclei grow to whole cells, without overlap, micrometres; 0: there are nuclei only. A pixel
    goes to the nearest nucleus of all that are found, whether its cell is written or not."""
    outline_tolerance_px: float = Field(default=0.15, ge=0, le=4)
    """Most by which smoothed outlines are simplified, grid pixels; 0 keeps every pixel corner, unsmoothed."""


class ClassesConfig(Section):
    """Classes of cells, by how much chromogen they have; for ``recognizer.stain: ihc``."""

    purposes = RUNS
    other_purposes: ClassVar[Mapping[str, frozenset[Purpose]]] = dict.fromkeys(
        ("scheme", "compartment"), RUNS | {"training"}
    )

    scheme: Literal["none", "positive", "graded"] = "none"
    """none: every cell is a Nucleus; positive: Negative or Positive; graded: Negative, 1+, 2+ or 3+."""
    compartment: Literal["nucleus", "ring"] = "nucleus"
    """Where the chromogen counts. nucleus: in its core; ring: around it, for cytoplasm and membrane; nuclei are then
    sought by the nuclear stain alone."""
    ring_um: float = Field(default=2.0, gt=0, le=4)
    """Width of the ring around a nucleus, micrometres; other cells are left out of it."""
    threshold_od: float | None = Field(default=None, gt=0, le=3)
    """Optical density of the chromogen from which on a cell is positive; null: found on each slide between its surely
    blue and its surely brown cells, at least 0.2 where no cell is surely brown. Given, it holds for a whole cohort."""
    grades_od: tuple[float, float] = (0.4, 0.6)
    """Optical density of the chromogen from which on a positive cell is 2+, and 3+."""

    @model_validator(mode="after")
    def _grades_rise(self) -> ClassesConfig:
        if not 0 < self.grades_od[0] <= self.grades_od[1]:
            raise ValueError(f"grades_od must be above 0 and rise, got {list(self.grades_od)}")
        return self

    @property
    def around_nuclei(self) -> bool:
        """Whether the chromogen counts around nuclei, which are then sought without it."""
        return self.scheme != "none" and self.compartment == "ring"

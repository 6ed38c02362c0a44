"""Configuration: one frozen model a section, in the order of the run path.

A default lives here and nowhere else; ``configs/he.yaml`` lists every key with the same value and is tested to.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsipsm.core.errors import ConfigError

Purpose = Literal["segmenter", "psm", "learning", "training", "export", "schedule"]
"""What a key can change: the cells of a run by either method, or by a network learnt on the slide; a training; the
files made from the cells; nothing but how work is handed out."""

RUNS: frozenset[Purpose] = frozenset({"segmenter", "psm"})


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error; each says what its keys are for."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    purposes: ClassVar[frozenset[Purpose]] = RUNS | {"training"}
    """What the keys are for, unless ``other_purposes`` says otherwise."""
    other_purposes: ClassVar[Mapping[str, frozenset[Purpose]]] = {}

    def keys_for(self, purposes: Collection[Purpose]) -> dict[str, Any]:
        """Keys for one of the purposes and their values, JSON-ready."""
        return {
            key: value
            for key, value in self.model_dump(mode="json").items()
            if not self.other_purposes.get(key, self.purposes).isdisjoint(purposes)
        }


AnySection = TypeVar("AnySection", bound=Section)

TRAINING_CONFIGS = ("paper",)
"""Packaged configurations of ``wsipsm train``, which a run cannot use."""


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

    other_purposes = {"core_px": frozenset({"schedule"}), "order": frozenset({"schedule"})}

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


_MEMBER_SEEDS = 1_000_003


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
    split: Literal["depth", "shape"] = "depth"
    """What tells touching cells apart: peaks of the evidence, or pieces that look more like nuclei than the whole."""
    split_depth: float = Field(default=0.19, gt=0, le=1)
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
    split: Literal["depth", "shape"] = "shape"
    """What tells touching cells apart: peaks of the evidence, or pieces that look more like nuclei than the whole."""
    growth_um: float = Field(default=1.0, ge=0, le=4)
    """Cells grow by at most this towards the border of the evidence, micrometres."""


class SegmenterConfig(Section):
    """The network that learns from pseudo labels; read by `wsipsm train`, two keys by a run."""

    purposes = frozenset({"training"})
    other_purposes = dict.fromkeys(("threshold", "depth_smoothing_um"), frozenset({"segmenter", "training"}))

    seed: int = Field(default=0, ge=0)
    """Seed of fields, initial weights and batches."""
    widths: tuple[int, ...] = (8, 16, 32, 48)
    """Channels of each level, fine to coarse."""
    fields: int = Field(default=8, ge=1)
    """Fields sampled over the tissue of a slide; a slide no larger than a field gives itself."""
    field_px: int = Field(default=512, ge=192, le=2048)
    """Side of a field, grid pixels."""
    members: int = Field(default=3, ge=1, le=16)
    """Segmenters that learn side by side from other seeds; labels of a further round are those of their mean. The last
    round is learnt by the first alone, which is what comes out."""
    steps: int = Field(default=500, ge=1)
    """Optimiser steps on the labels of the pseudo masks."""
    rounds: int = Field(default=8, ge=0)
    """Further rounds on the segmenters' own labels."""
    settled_rounds: int = Field(default=3, ge=0)
    """How many last rounds find their labels as a run finds cells; those before part nuclei eagerly, see ``label_``."""
    round_steps: int = Field(default=300, ge=1)
    """Optimiser steps of a further round."""
    batch: int = Field(default=8, ge=1)
    """Crops a step."""
    patch_px: int = Field(default=128, ge=32)
    """Side of a crop, grid pixels; a multiple of the network's stride."""
    learning_rate: float = Field(default=0.003, gt=0, le=1)
    """Peak of the cosine schedule."""
    average: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the running mean of the weights."""
    threshold: float = Field(default=0.1, ge=0, lt=1)
    """Depth from which on a pixel can belong to a cell: 0 is the outline, 1 the middle of a nucleus."""
    depth_smoothing_um: float = Field(default=0.5, ge=0, le=2)
    """Standard deviation of the Gaussian on the depth before cells are sought, micrometres."""
    label_threshold: float = Field(default=0.12, ge=0, lt=1)
    """Depth from which on a pixel can belong to a label of the next round, before the rounds settle."""
    label_smoothing_um: float = Field(default=0.35, ge=0, le=2)
    """Standard deviation of the Gaussian on the depth before labels of the next round are sought, likewise."""
    label_split_depth: float = Field(default=0.12, gt=0, le=1)
    """``labels.split_depth``, likewise: merged nuclei would be learnt, pieces are doubtful anyway."""
    min_scale: float = Field(default=0.8, gt=0, le=1)
    """Crops are resized by this factor or more."""
    far_scale: float = Field(default=0.5, gt=0, le=1)
    """The same in the last rounds: seen from afar, nuclei that are easy to tell apart teach how to part small ones."""
    far_rounds: int = Field(default=6, ge=0)
    """How many last rounds see from afar; labels must be good before they do."""
    max_scale: float = Field(default=1.25, ge=1, le=2)
    """Crops are resized by up to this factor."""
    stain_jitter: float = Field(default=0.2, ge=0, lt=1)
    """Stain strengths vary by up to this share."""
    veil_od: float = Field(default=0.03, ge=0)
    """A veil of up to this is added to or taken from every stain, share of the slide's 99th percentile of density."""
    blur_px: float = Field(default=1.2, ge=0.3)
    """Largest standard deviation of the blur of some crops, grid pixels."""
    noise_od: float = Field(default=0.04, ge=0)
    """Largest standard deviation of the noise of some crops, share of the slide's 99th percentile of density."""
    trusted_fill: float = Field(default=0.9, ge=0, le=1)
    """Labels that fill less of their moment ellipse are doubtful."""
    trusted_contrast: float = Field(default=0.2, ge=0, lt=1)
    """Labels that are less than this share darker than the ring around them are doubtful."""
    trusted_area_um2: float = Field(default=6, ge=0)
    """Smaller labels are doubtful, square micrometres."""
    trusted_probability: float = Field(default=0.7, ge=0, le=1)
    """Labels of a lower mean probability are doubtful."""
    doubtful_weight: float = Field(default=0.15, ge=0, le=1)
    """Weight of pixels of doubtful labels, and of likely nucleus outside all labels."""
    likely: float = Field(default=0.3, ge=0, le=1)
    """Probability from which on a pixel outside all labels is likely nucleus."""
    threads: int = Field(default=1, ge=1)
    """CPU threads of training; another number may change the last bits of what is learnt."""

    def of_member(self, member: int) -> SegmenterConfig:
        """Settings of one of the segmenters that learn side by side, 0 for the first."""
        return self.model_copy(update={"seed": self.seed + _MEMBER_SEEDS * member})

    def learners(self, number: int) -> int:
        """How many segmenters learn in a round, 0 for the first."""
        return self.members if number < self.rounds else 1

    def settled(self, number: int) -> bool:
        """Whether labels of a round are found as a run finds cells."""
        return number > self.rounds - self.settled_rounds

    def in_round(self, number: int) -> SegmenterConfig:
        """Settings of a round, 0 for the first: the last ones see from afar."""
        if number <= self.rounds - self.far_rounds:
            return self
        return self.model_copy(update={"min_scale": self.far_scale})


class RecognizerConfig(Section):
    """How nuclei are told from the rest."""

    method: Literal["segmenter", "psm"] = "segmenter"
    """segmenter: a network distilled from pseudo labels; psm: the pseudo mask itself, fitted to each slide."""
    stain: Literal["he", "unknown"] = "he"
    """he: haematoxylin and eosin; unknown: any two stains, found on each slide with no stain vector given."""


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


class RecipeConfig(Section):
    """Workers that a cluster's own manager starts."""

    kind: Literal["slurm", "cuda", "kubernetes"]
    """Who starts them."""
    jobs: int = Field(default=1, ge=1)
    """SLURM jobs, each of which may bring several workers, or Kubernetes workers; of no meaning for ``cuda``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of the class of Dask that talks to the manager."""


class Config(Section):
    """Everything a run depends on, in the order of its path."""

    grid: GridConfig = GridConfig()
    tissue: TissueConfig = TissueConfig()
    tiles: TilesConfig = TilesConfig()
    recognizer: RecognizerConfig = RecognizerConfig()
    encoder: EncoderConfig = EncoderConfig()
    pseudomask: PseudoMaskConfig = PseudoMaskConfig()
    pseudolabels: PseudoLabelsConfig = PseudoLabelsConfig()
    segmenter: SegmenterConfig = SegmenterConfig()
    labels: LabelsConfig = LabelsConfig()
    cells: CellsConfig = CellsConfig()
    output: OutputConfig = OutputConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    @property
    def rules(self) -> LabelsConfig:
        """Rules of instances that go with the method of recognition."""
        return self.labels if self.recognizer.method == "segmenter" else self.pseudolabels

    def result_keys(self, *, learns: bool = True) -> dict[str, dict[str, Any]]:
        """Keys that can change the cells of the configured method, by section, JSON-ready.

        Parameters
        ----------
        learns : bool
            Whether a network is learnt on each slide where the method knows that; false where a checkpoint is given.
        """
        purposes: set[Purpose] = {self.recognizer.method}
        if self.recognizer.method == "psm" and learns:
            purposes.add("learning")
        sections: dict[str, Section] = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: keys for name, section in sections.items() if (keys := section.keys_for(purposes))}


def load_config(name_or_file: str = "he", overrides: tuple[str, ...] = ()) -> Config:
    """Configuration of a packaged name or a YAML file, with ``section.key=value`` overrides.

    Parameters
    ----------
    name_or_file : str
        ``he``, or a path that ends in .yaml or .yml.
    overrides : tuple of str
        ``section.key=value``, the value in YAML; later ones win.

    Raises
    ------
    ConfigError
        Unknown name, unreadable file, unknown key (with the nearest known one), bad value.
    """
    if name_or_file in TRAINING_CONFIGS:
        raise ConfigError(
            f"{name_or_file!r} is a training configuration, for wsipsm train --config {name_or_file}: "
            "expected he, or a .yaml file of a run"
        )
    return load_settings(Config, name_or_file, overrides)


def load_settings(model: type[AnySection], name_or_file: str, overrides: tuple[str, ...] = ()) -> AnySection:
    """Sections of any kind, read and checked as :func:`load_config` does."""
    table = _read_table(name_or_file, packaged_configs())
    for override in overrides:
        _apply(table, override)
    return _parse(model, table, name_or_file)


def parse_config(table: dict[str, Any], where: str = "config") -> Config:
    """Build the configuration from a nested mapping; an unknown key is an error."""
    return _parse(Config, table, where)


def _parse(model: type[AnySection], table: dict[str, Any], where: str) -> AnySection:
    _refuse_unknown(table, model, where)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {key}: {message} (got {first['input']!r})") from None


def load_recipe(name_or_file: str) -> RecipeConfig:
    """Recipe of a cluster, by a packaged name or from a YAML file; errors as :func:`load_config`."""
    return _parse(RecipeConfig, _read_table(name_or_file, packaged_recipes()), name_or_file)


def packaged_configs() -> dict[str, Path]:
    """Names and files of the configurations that come with wsipsm."""
    return {path.stem: path for path in sorted(_packaged_folder().glob("*.yaml"))}


def packaged_recipes() -> dict[str, Path]:
    """Names and files of the recipes for clusters that come with wsipsm."""
    return {path.stem: path for path in sorted((_packaged_folder() / "cluster").glob("*.yaml"))}


def dump_yaml(table: dict[str, Any]) -> str:
    """YAML text of a nested mapping, keys in their order."""
    return yaml.safe_dump(table, sort_keys=False, allow_unicode=True)


def _packaged_folder() -> Path:
    return Path(__file__).parent / "packaged"


def _read_table(name_or_file: str, packaged: dict[str, Path]) -> dict[str, Any]:
    path = packaged.get(name_or_file, Path(name_or_file))
    if path.suffix not in {".yaml", ".yml"}:
        raise ConfigError(f"unknown name {name_or_file!r}: expected one of {', '.join(packaged)}, or a .yaml file")
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(table, dict | None):
        raise ConfigError(f"{path}: expected sections with keys, got {type(table).__name__}")
    return table or {}


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise ConfigError(f"--set {override}: expected section.key=value, for example tiles.core_px=512")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: {text!r} is not a YAML value") from None
    held = table.setdefault(section, {})
    if not isinstance(held, dict):
        raise ConfigError(f"{section}: expected keys and values, got {held!r}")
    held[name] = value


def _refuse_unknown(table: dict[str, Any], model: type[BaseModel], where: str) -> None:
    for key, value in table.items():
        if key not in model.model_fields:
            raise ConfigError(f"{where}: unknown key {key!r}{_hint(str(key), list(model.model_fields))}")
        inner = model.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}.{key}: expected keys and values, got {value!r}")
            _refuse_unknown(value, inner, f"{where}.{key}")


def _hint(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f", did you mean {near[0]!r}?" if near else f", expected one of {', '.join(known)}"

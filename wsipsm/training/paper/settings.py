"""Settings of the paper's method, in the order of its path; ``wsipsm config show paper`` prints every key.

The defaults are those of the authors' code (github.com/cpystan/PSM); what differs is told in
:mod:`wsipsm.training.paper`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from wsipsm.config import Section, load_settings


class DataSettings(Section):
    """The training images."""

    mpp: float = Field(default=0.25, ge=0.05, le=20)
    """Micrometres per pixel of the images; every count of pixels below holds at it."""
    crop_px: int = Field(default=512, ge=64, le=4096)
    """Side of the crop in the middle of each image, pixels; smaller images are refused. A multiple of 32."""

    @model_validator(mode="after")
    def _halved_five_times(self) -> DataSettings:
        if self.crop_px % 32:
            raise ValueError(f"crop_px must be a multiple of 32, got {self.crop_px}")
        return self


class TrainingSettings(Section):
    """What all three networks share."""

    seed: int = Field(default=1, ge=0)
    """Seed of initial weights, order of images, dropout and k-means."""
    threads: int = Field(default=1, ge=1)
    """CPU threads; another number may change the last bits of what is learnt."""
    save_every: int = Field(default=100, ge=1)
    """Optimiser steps between two saved states: at most so many are repeated after a kill."""
    softmax_twice: bool = True
    """Take the logarithm of the softmax of the softmax, as the authors do: it bounds the loss of a wrong pixel."""


class EncoderSettings(Section):
    """The activation network."""

    name: str = "res2net101_26w_4s"
    """A network of timm whose stages hold blocks; initialised at random."""
    task: Literal["similarity", "contrastive", "rotation", "simsiam", "mean_value"] = "similarity"
    """Self-supervised task."""
    epochs: float = Field(default=100.0, gt=0)
    """Passes over the images; a part of a pass is fine."""
    batch: int = Field(default=1, ge=1)
    """Images a step; contrastive needs two or more, the authors give it four."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Constant learning rate of Adam."""

    @model_validator(mode="after")
    def _contrast_needs_two(self) -> EncoderSettings:
        if self.task == "contrastive" and self.batch < 2:
            raise ValueError("the contrastive task compares images: batch must be at least 2")
        return self


class MapSettings(Section):
    """The activation map."""

    stages: tuple[str, ...] = Field(default=("layer1",), min_length=1)
    """Stages of the network whose blocks are averaged."""
    divide_by: float = Field(default=255.0, gt=0)
    """Pixels are divided by this before the map is taken. The authors learn on 0 to 255 and map on 0 to 1."""
    dark_is_high: bool = True
    """Turn a map over that is higher in bright pixels than in dark ones; false leaves its sign to chance."""


class MaskSettings(Section):
    """Semantic clustering."""

    clusters: int = Field(default=3, ge=2, le=8)
    """k of k-means, on every image by itself."""
    image_weight: float = Field(default=1.0, ge=0)
    """Weight of the RGB image beside the coloured map."""
    runs: int = Field(default=10, ge=1)
    """Starts of k-means, of which the best stays."""
    iterations: int = Field(default=20, ge=1)
    """Most iterations of a start."""
    sample_px: int = Field(default=50_000, ge=1_000)
    """Pixels of an image that k-means sees; the rest joins the nearest centre."""
    min_area_px: int = Field(default=200, ge=0)
    """Smaller objects are dropped, pixels."""
    max_hole_px: int = Field(default=64, ge=0)
    """Smaller holes are filled, pixels."""


class UNetSettings(Section):
    """A ResUNet and how it is trained."""

    name: str = "resnet34"
    """Encoder of the U-Net, a network of timm; initialised at random."""
    epochs: float = Field(default=100.0, gt=0)
    """Passes over the images."""
    batch: int = Field(default=4, ge=1)
    """Images a step."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Constant learning rate of Adam."""


class PointSettings(UNetSettings):
    """The point network and its peaks."""

    blur_px: int = Field(default=13, ge=1)
    """Side of the Gaussian window over the probability, pixels, odd."""
    threshold: float = Field(default=0.6, ge=0, lt=1)
    """Lowest blurred probability of a peak."""
    peak_distance_px: int = Field(default=6, ge=1)
    """Of two peaks nearer than this the higher stays, pixels."""
    merge_px: float = Field(default=20.0, ge=0)
    """Peaks nearer than this are one point, their mean; horizontal plus vertical distance, pixels."""

    @model_validator(mode="after")
    def _window_has_a_middle(self) -> PointSettings:
        if self.blur_px % 2 == 0:
            raise ValueError(f"blur_px must be odd, got {self.blur_px}")
        return self


class SegmenterSettings(UNetSettings):
    """The segmenter."""

    voronoi_weight: float = Field(default=1.5, ge=0)
    """Weight of the loss on points and Voronoi edges beside that on the pseudo mask."""
    dot_radius_px: int = Field(default=2, ge=0, le=32)
    """Radius of the disk that a point becomes, pixels."""
    learn_foreground: bool = False
    """Learn the foreground of the pseudo mask too; the authors learn its background only, nuclei from the points."""
    instances: Literal["components", "watershed"] = "components"
    """Connected components of the mask, as the authors score them, or watershed from the peaks of the probability."""


class PaperSettings(Section):
    """Everything a training depends on, in the order of its path."""

    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    encoder: EncoderSettings = EncoderSettings()
    maps: MapSettings = MapSettings()
    masks: MaskSettings = MaskSettings()
    points: PointSettings = PointSettings()
    segmenter: SegmenterSettings = SegmenterSettings()


def load_paper_settings(name_or_file: str = "paper", overrides: Iterable[str] = ()) -> PaperSettings:
    """Settings of ``paper`` or of a YAML file, with ``section.key=value`` overrides.

    Raises
    ------
    ConfigError
        Unknown name, unreadable file, unknown key (with the nearest known one), bad value.
    """
    return load_settings(PaperSettings, name_or_file, overrides)

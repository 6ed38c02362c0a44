"""The whole configuration of a run or a training."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from wsipsm.config.base import Purpose, Section
from wsipsm.config.cells import CellsConfig, ClassesConfig, LabelsConfig, PseudoLabelsConfig
from wsipsm.config.renames import RENAMED
from wsipsm.config.sections import (
    EncoderConfig,
    GridConfig,
    OutputConfig,
    PseudoMaskConfig,
    RecognizerConfig,
    ScheduleConfig,
    SegmenterConfig,
    TilesConfig,
    TissueConfig,
)
from wsipsm.config.training import TrainingConfig
from wsipsm.core.stains import WITH_MARKER


class Config(Section):
    """Everything a run or a training depends on, in the order of a run's steps."""

    renamed_keys = RENAMED

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
    classes: ClassesConfig = ClassesConfig()
    output: OutputConfig = OutputConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _stain_has_a_marker(self) -> Config:
        if self.recognizer.stain not in WITH_MARKER:
            if self.classes.scheme != "none":
                raise ValueError(
                    f"classes.scheme: {self.classes.scheme} is for recognizer.stain: ihc, got {self.recognizer.stain}"
                )
            if self.pseudolabels.source == "hue":
                raise ValueError(f"pseudolabels.source: hue is for recognizer.stain: ihc, got {self.recognizer.stain}")
        return self

    @property
    def instance_rules(self) -> LabelsConfig:
        """Rules by which cells are told apart, chosen by ``recognizer.method``.

        Section ``labels`` for the segmenter, ``pseudolabels`` for the pseudo mask (``psm``).
        """
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

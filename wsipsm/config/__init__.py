"""Configuration: one frozen model a section, read from YAML files; the defaults are those of the models."""

from __future__ import annotations

from wsipsm.config.base import Section
from wsipsm.config.cells import CellsConfig, ClassesConfig, LabelsConfig, PseudoLabelsConfig
from wsipsm.config.config import Config
from wsipsm.config.diff import by_key, differences, recorded_config
from wsipsm.config.load import (
    dump_yaml,
    load_config,
    load_recipe,
    load_settings,
    model_of_config,
    packaged_configs,
    packaged_recipes,
    parse_config,
    problems_of_config,
)
from wsipsm.config.recipe import RecipeConfig
from wsipsm.config.renames import with_new_names
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
from wsipsm.config.show import commented_yaml
from wsipsm.config.training import TrainingConfig

__all__ = [
    "CellsConfig",
    "ClassesConfig",
    "Config",
    "EncoderConfig",
    "GridConfig",
    "LabelsConfig",
    "OutputConfig",
    "PseudoLabelsConfig",
    "PseudoMaskConfig",
    "RecipeConfig",
    "RecognizerConfig",
    "ScheduleConfig",
    "Section",
    "SegmenterConfig",
    "TilesConfig",
    "TissueConfig",
    "TrainingConfig",
    "by_key",
    "commented_yaml",
    "differences",
    "dump_yaml",
    "load_config",
    "load_recipe",
    "load_settings",
    "model_of_config",
    "packaged_configs",
    "packaged_recipes",
    "parse_config",
    "problems_of_config",
    "recorded_config",
    "with_new_names",
]

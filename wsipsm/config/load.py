"""Configurations and recipes from YAML files, with overrides; errors name the key and the nearest known one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from wsipsm.config.base import AnySection
from wsipsm.config.config import Config
from wsipsm.config.recipe import RecipeConfig
from wsipsm.core.errors import ConfigError

TRAINING_CONFIGS = ("paper",)
"""Packaged configurations of ``wsipsm train``, which a run cannot use."""


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

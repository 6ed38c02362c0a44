"""Configurations and recipes from YAML files, with overrides; errors name the key and the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from wsipsm.config.base import AnySection, Section
from wsipsm.config.config import Config
from wsipsm.config.recipe import RecipeConfig
from wsipsm.core.errors import ConfigError

TRAINING_CONFIGS = ("paper",)
"""Packaged configurations of ``wsipsm train``, which a run cannot use."""

_UNKNOWN_KEY = ("extra_forbidden", "invalid_key")
_SHOWN = 3
"""Mistakes that an error names; of the others it says how many."""


def load_config(name_or_file: str = "he", overrides: Iterable[str] = ()) -> Config:
    """Configuration of a packaged name or a YAML file, with ``section.key=value`` overrides.

    Parameters
    ----------
    name_or_file : str
        ``he``, or a path that ends in .yaml or .yml.
    overrides : iterable of str
        ``section.key=value``, the value in YAML; later ones win.

    Returns
    -------
    Config
        Checked; keys that are not given have their defaults.

    Raises
    ------
    ConfigError
        Unknown name, unreadable file, unknown key (with the nearest known one), key of an earlier version (with its
        new name), bad value.
    """
    if name_or_file in TRAINING_CONFIGS:
        raise ConfigError(
            f"{name_or_file!r} is a training configuration, for wsipsm train --config {name_or_file}: "
            "expected he, or a .yaml file of a run"
        )
    return load_settings(Config, name_or_file, overrides)


def load_settings(model: type[AnySection], name_or_file: str, overrides: Iterable[str] = ()) -> AnySection:
    """Settings of any model of sections, read and checked as :func:`load_config` does.

    Parameters
    ----------
    model : type
        Sections of keys, such as ``Config``.
    name_or_file, overrides
        As in :func:`load_config`.
    """
    return _parse(model, _read_table(name_or_file, packaged_configs(), overrides), name_or_file)


def model_of_config(name_or_file: str, overrides: Iterable[str], models: Sequence[type[Section]]) -> type[Section]:
    """The model that knows most keys of a configuration; the first of those that know as many.

    Parameters
    ----------
    name_or_file, overrides
        As in :func:`load_config`.
    models : sequence of type
        Among which to choose.

    Raises
    ------
    ConfigError
        Unknown name, or a file that cannot be read.
    """
    table = _read_table(name_or_file, packaged_configs(), overrides)
    return max(models, key=lambda model: sum(_known_keys(model, name, keys) for name, keys in table.items()))


def _known_keys(model: type[Section], name: Any, keys: Any) -> int:
    """How many keys of a section a model knows."""
    field = model.model_fields.get(name)
    known = getattr(field.annotation, "model_fields", {}) if field is not None else {}
    return len(known.keys() & keys.keys()) if isinstance(keys, dict) else 0


def problems_of_config(file: str, overrides: Iterable[str] = (), model: type[Section] = Config) -> list[str]:
    """Everything that is wrong with the keys and values of a configuration file, one sentence each.

    Parameters
    ----------
    file : str
        A YAML file.
    overrides : iterable of str
        ``section.key=value``.
    model : type
        Sections of keys that the file is for.

    Raises
    ------
    ConfigError
        The file cannot be read.
    """
    try:
        model.model_validate(_read_table(file, packaged_configs(), overrides))
    except ValidationError as error:
        return _problems(error, model)
    return []


def parse_config(table: dict[str, Any], where: str = "config") -> Config:
    """Configuration of a nested mapping; errors as :func:`load_config`."""
    return _parse(Config, table, where)


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


def _read_table(name_or_file: str, packaged: dict[str, Path], overrides: Iterable[str] = ()) -> dict[str, Any]:
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
    table = table or {}
    for override in overrides:
        _apply(table, override)
    return table


def _apply(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise ConfigError(f"--set {override}: expected section.key=value, for example tiles.core_px=512")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override}: {text!r} is not a YAML value") from None
    keys = table.setdefault(section, {})
    if not isinstance(keys, dict):
        raise ConfigError(f"{section}: expected keys and values, got {keys!r}")
    keys[name] = value


def _parse(model: type[AnySection], table: dict[str, Any], where: str) -> AnySection:
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = _problems(error, model)
    advice = f" (wsipsm config check {where})" if Path(where).suffix in {".yaml", ".yml"} else ""
    more = f"; and {len(found) - _SHOWN} more{advice}" if len(found) > _SHOWN else ""
    raise ConfigError(f"{where}: {'; '.join(found[:_SHOWN])}{more}")


def _problems(error: ValidationError, model: type[Section]) -> list[str]:
    """What is wrong, one sentence each, keys before values."""
    details = sorted(error.errors(), key=lambda detail: detail["type"] not in _UNKNOWN_KEY)
    return [_explained(detail, model) for detail in details]


def _explained(detail: Mapping[str, Any], model: type[Section]) -> str:
    key, got = ".".join(map(str, detail["loc"])), detail["input"]
    for old in (key, f"{key}={got}"):
        if old in model.renamed_keys:
            return f"{old} is called {model.renamed_keys[old]} now"
    if detail["type"] in _UNKNOWN_KEY:
        return f"unknown key {key}{_hint(detail['loc'], model)}"
    if detail["type"] == "model_type":
        return f"{key}: expected keys and values, got {got!r}"
    return f"{key}: {detail['msg'].removeprefix('Value error, ')} (got {got!r})"


def _hint(path: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The nearest known key beside an unknown one, or all that there are."""
    inner = model.model_fields[str(path[0])].annotation if len(path) > 1 else model
    known = list(inner.model_fields) if isinstance(inner, type) and issubclass(inner, BaseModel) else []
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f", did you mean {near[0]!r}?" if near else f", expected one of {', '.join(known)}"

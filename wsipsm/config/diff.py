"""Keys in which two configurations differ."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from wsipsm.config.renames import with_new_names
from wsipsm.core.errors import ConfigError

RECORD = "run.json"
"""File in a slide's folder that holds the configuration of its run."""


def by_key(config: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a configuration by ``section.key``.

    Parameters
    ----------
    config : mapping
        Sections of keys.

    Returns
    -------
    dict
        In the order of the sections and their keys.

    Examples
    --------
    >>> by_key({"grid": {"mpp": 0.5}})
    {'grid.mpp': 0.5}
    """
    sections = {name: keys for name, keys in config.items() if isinstance(keys, Mapping)}
    return {f"{name}.{key}": value for name, keys in sections.items() for key, value in keys.items()}


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys of two configurations that have different values, with both values.

    Parameters
    ----------
    first, second : mapping
        Sections of keys, JSON-ready.

    Returns
    -------
    dict
        ``section.key`` to its value in ``first`` and in ``second``; None where one has no such key.

    Examples
    --------
    >>> differences({"grid": {"mpp": 0.5}, "cells": {"x": 1}}, {"grid": {"mpp": 0.25}, "cells": {"x": 1}})
    {'grid.mpp': (0.5, 0.25)}
    """
    one, other = by_key(first), by_key(second)
    return {key: (one.get(key), other.get(key)) for key in one | other if one.get(key) != other.get(key)}


def recorded_config(path: str | Path) -> dict[str, Any]:
    """Configuration in the record of a run, with the names of this version.

    Parameters
    ----------
    path : path
        A ``run.json``, or the slide's folder with it.

    Raises
    ------
    ConfigError
        The record cannot be read, or holds no configuration.
    """
    file = Path(path, RECORD) if Path(path).is_dir() else Path(path)
    try:
        config = orjson.loads(file.read_bytes())["config"]
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError):
        config = None
    if not isinstance(config, dict):
        raise ConfigError(f"{file}: expected the record of a run (OUT/slide/{RECORD}), found no configuration in it")
    return with_new_names(config)

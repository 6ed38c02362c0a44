"""What the functions take: paths, configurations, and values among a few."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from wsipsm.config import Config, load_config
from wsipsm.core.errors import ConfigError, InputError

PathLike = str | os.PathLike[str]
Device = Literal["auto", "cpu", "cuda"]
Stage = Literal["all", "pretrain", "pseudomask", "segmenter"]


def listed(paths: PathLike | Sequence[PathLike]) -> list[str]:
    """One or several inputs as a list; raises `InputError` where there is none."""
    listed = [os.fspath(paths)] if isinstance(paths, str | os.PathLike) else [os.fspath(path) for path in paths]
    if not listed:
        raise InputError("no slide was given: expected files, folders, patterns or manifests")
    return listed


def refuse_other(name: str, value: str, known: Sequence[str]) -> None:
    """Raise `ConfigError` for a value that is not known.

    Parameters
    ----------
    name : str
        Of the argument, for the message.
    value : str
        As it was given.
    known : sequence of str
        Values that it may have.
    """
    if value not in known:
        raise ConfigError(f"{name} {value!r}: expected one of {', '.join(known)}")


def as_path(path: PathLike | None) -> Path | None:
    """A path, or none."""
    return None if path is None else Path(path)


def as_config(config: PathLike | Config, settings: Sequence[str]) -> Config:
    """A configuration, or that of a name or file with settings; raises `ConfigError` where both are given."""
    if not isinstance(config, Config):
        return load_config(os.fspath(config), tuple(settings))
    if settings:
        raise ConfigError("settings go with the name of a configuration: change a Config itself, with model_copy")
    return config

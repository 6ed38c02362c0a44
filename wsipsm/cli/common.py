"""Options and exit codes that several commands share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

EXIT_NOTHING, EXIT_SOME, EXIT_SIGNAL = 1, 2, 128
"""Exit codes: nothing could be done, or the run could not go on; some slides or tiles failed and are listed; 128 plus
the number of the signal that stopped it."""
EXIT_STOPPED = EXIT_SIGNAL + signal.SIGINT
"""Stopped from the keyboard."""

PAPER = "paper"
"""Name of the packaged configuration that trains as in the paper."""


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def json_option(shape: str) -> Any:
    """Option ``--json`` of a command, whose help says what is printed.

    Parameters
    ----------
    shape : str
        What the one document on standard output is, such as ``a list: name, file``.
    """
    return typer.Option("--json", help=f"Print JSON and nothing else: {shape}")


def complete_config(incomplete: str) -> list[str]:
    """Names of packaged configurations that begin as a word does, for the completion of a shell."""
    from wsipsm.config import packaged_configs

    return [name for name in packaged_configs() if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """Names of packaged recipes for clusters that begin as a word does, for the completion of a shell."""
    from wsipsm.config import packaged_recipes

    return [name for name in packaged_recipes() if name.startswith(incomplete)]


INPUTS = Annotated[
    list[str],
    typer.Argument(
        metavar="SLIDE...",
        help="Slides, plain images, folders (searched recursively), quoted globs, or manifests (.csv, .parquet).",
    ),
]
OUT = Annotated[Path, typer.Option("-o", "--out", help="Output folder; after a stop the same command resumes in it.")]
CONFIG = Annotated[
    str, typer.Option(help="Name of a packaged configuration, or a YAML file.", autocompletion=complete_config)
]
SETTINGS = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Change one key, e.g. recognizer.stain=unknown; may repeat."
    ),
]
MPP = Annotated[float | None, typer.Option(help="Working resolution, micrometres per pixel; by default 0.5.")]
SLIDE_MPP = Annotated[
    float | None,
    typer.Option(
        help="Micrometres per pixel of the slide itself, where its file does not say or is wrong (0.25 = 40x)."
    ),
]
DEVICE = Annotated[Device, typer.Option(help="Where to compute.")]
JSON = Annotated[bool, json_option("what the command shows.")]
SCHEDULER = Annotated[str | None, typer.Option(help="Existing Dask scheduler: tcp://host:port or a scheduler file.")]


def as_settings(options: Mapping[str, Any]) -> list[str]:
    """Settings ``section.key=value`` of options by key; those that are None were not given."""
    return [f"{key}={value}" for key, value in options.items() if value is not None]


def is_of_paper(config: str, settings: Sequence[str] = ()) -> bool:
    """Whether a configuration is one of the paper's training: by its name, or by the keys in its file."""
    if config == PAPER:
        return True
    from wsipsm.config import Config, model_of_config
    from wsipsm.training.paper.settings import PaperSettings

    return model_of_config(config, settings, (Config, PaperSettings)) is PaperSettings


def print_json(found: Any) -> None:
    """Print indented JSON."""
    import orjson

    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


def refuse(message: str, code: int = EXIT_NOTHING) -> NoReturn:
    """End with one line on standard error."""
    print(f"wsipsm: {message}", file=sys.stderr)
    raise SystemExit(code)

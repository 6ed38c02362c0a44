"""``wsipsm config``: show, check and list configurations."""

from __future__ import annotations

from typing import Annotated

import typer

from wsipsm import __version__
from wsipsm.cli.common import EXIT_NOTHING, SETTINGS, is_of_paper


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Show, check and list configurations.")
    for command in (show, check, list_packaged):
        group.command("list" if command is list_packaged else None)(command)
    app.add_typer(group, name="config")


def show(
    config: Annotated[
        str, typer.Argument(metavar="[NAME|FILE]", help="Name of a packaged configuration, or a YAML file.")
    ] = "he",
    settings: SETTINGS = None,
) -> None:
    """Print every key with what it does, its unit and the value in force, as YAML that can be edited and used.

    For example:

      wsipsm config show > mine.yaml

      wsipsm config show paper

      wsipsm config show mine.yaml --set grid.mpp=0.25
    """
    from wsipsm.config import commented_yaml, load_config
    from wsipsm.training.paper.settings import load_paper_settings

    loaded = (load_paper_settings if is_of_paper(config, settings or ()) else load_config)(config, settings or ())
    print(
        f"# wsipsm {__version__}, configuration {config}. A file needs only the keys that differ from the defaults.\n"
    )
    print(commented_yaml(loaded), end="")


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A YAML file for wsipsm run or wsipsm train.")],
    settings: SETTINGS = None,
) -> None:
    """Say OK, or everything that is wrong with a configuration file (exit code 1).

    For example:

      wsipsm config check mine.yaml
    """
    from wsipsm.config import Config, problems_of_config
    from wsipsm.training.paper.settings import PaperSettings

    model = PaperSettings if is_of_paper(file, settings or ()) else Config
    found = problems_of_config(file, settings or (), model)
    print("\n".join(f"{file}: {problem}" for problem in found) or f"{file}: OK")
    if found:
        raise typer.Exit(EXIT_NOTHING)


def list_packaged() -> None:
    """Name the configurations that come with wsipsm, with what each is for."""
    from wsipsm.config import packaged_configs

    for name, path in packaged_configs().items():
        print(f"{name:8}{path.read_text(encoding='utf-8').splitlines()[0].removeprefix('# ')}")

"""``wsipsm config``: show, check, compare and list configurations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsipsm import __version__
from wsipsm.cli.common import EXIT_NOTHING, SETTINGS, complete_config, is_of_paper, json_option, print_json

if TYPE_CHECKING:
    from wsipsm.config import Section

_SOURCE = typer.Argument(
    metavar="NAME|FILE",
    help="Name of a packaged configuration, a YAML file, or the run.json of a slide.",
    autocompletion=complete_config,
)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Show, check, compare and list configurations.")
    for command in (show, check, diff, list_packaged):
        group.command("list" if command is list_packaged else None)(command)
    app.add_typer(group, name="config")


def show(
    config: Annotated[
        str,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="Name of a packaged configuration, or a YAML file.",
            autocompletion=complete_config,
        ),
    ] = "he",
    settings: SETTINGS = None,
    as_json: Annotated[bool, json_option("sections of keys and values.")] = False,
) -> None:
    """Print every key with what it does, its unit and the value in force, as YAML that can be edited and used.

    For example:

      wsipsm config show > mine.yaml

      wsipsm config show paper

      wsipsm config show mine.yaml --set grid.mpp=0.25
    """
    from wsipsm.config import commented_yaml

    loaded = _loaded(config, settings or ())
    if as_json:
        print_json(loaded.model_dump(mode="json"))
        return
    print(
        f"# wsipsm {__version__}, configuration {config}. A file needs only the keys that differ from the defaults.\n"
    )
    print(commented_yaml(loaded), end="")


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A YAML file for wsipsm run or wsipsm train.")],
    settings: SETTINGS = None,
    as_json: Annotated[bool, json_option("file, good, and problems, a list of sentences.")] = False,
) -> None:
    """Say OK, or everything that is wrong with a configuration file (exit code 1).

    For example:

      wsipsm config check mine.yaml
    """
    from wsipsm.config import Config, problems_of_config
    from wsipsm.training.paper.settings import PaperSettings

    model = PaperSettings if is_of_paper(file, settings or ()) else Config
    found = problems_of_config(file, settings or (), model)
    if as_json:
        print_json({"file": file, "good": not found, "problems": found})
    else:
        print("\n".join(f"{file}: {problem}" for problem in found) or f"{file}: OK")
    if found:
        raise typer.Exit(EXIT_NOTHING)


def diff(
    first: Annotated[str, _SOURCE],
    second: Annotated[str | None, _SOURCE] = None,
    as_json: Annotated[bool, json_option("a list, a key each: key, first, second (null: no such key).")] = False,
) -> None:
    """Print the keys that differ between two configurations, with both values; of one, what differs from the defaults.

    For example:

      wsipsm config diff mine.yaml

      wsipsm config diff he ihc

      wsipsm config diff out/slide/run.json mine.yaml
    """
    from wsipsm.config import differences

    one, other = ("he", first) if second is None else (first, second)
    found = differences(_table(one), _table(other))
    if as_json:
        print_json([{"key": key, "first": old, "second": new} for key, (old, new) in found.items()])
        return
    for key, (old, new) in found.items():
        print(f"{key}: {_value(old)} -> {_value(new)}")
    if not found:
        print(f"{one} and {other}: the same")


def list_packaged(as_json: Annotated[bool, json_option("a list: name, file, about.")] = False) -> None:
    """Name the configurations that come with wsipsm, with what each is for."""
    from wsipsm.config import packaged_configs

    found = [{"name": name, "file": str(path), "about": _about(path)} for name, path in packaged_configs().items()]
    if as_json:
        print_json(found)
        return
    for one in found:
        print(f"{one['name']:8}{one['about']}")


def _about(path: Path) -> str:
    """First sentence of the comment that a file begins with."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    return " ".join(line.removeprefix("#").strip() for line in lines).split(". ")[0].removesuffix(".")


def _loaded(config: str, settings: Sequence[str] = ()) -> Section:
    from wsipsm.config import load_config
    from wsipsm.training.paper.settings import load_paper_settings

    return (load_paper_settings if is_of_paper(config, settings) else load_config)(config, settings)


def _table(source: str) -> dict[str, Any]:
    """Sections of a configuration, or of the one in the record of a run."""
    from wsipsm.config import recorded_config

    if Path(source).is_dir() or source.endswith(".json"):
        return recorded_config(source)
    return _loaded(source).model_dump(mode="json")


def _value(value: Any) -> str:
    """A value as YAML and JSON have it."""
    import orjson

    return orjson.dumps(value).decode()

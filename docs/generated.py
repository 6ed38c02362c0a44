"""Pages of the site that are made from the code: the command line and the keys of the configuration.

MkDocs loads this file as a hook.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import click
import typer

from wsipsm.cli.main import app
from wsipsm.config import Config
from wsipsm.config.base import Purpose, Section
from wsipsm.training.paper.settings import PaperSettings

CHANGES: dict[Purpose, str] = {
    "segmenter": "cells of `segmenter`",
    "psm": "cells of `psm`",
    "learning": "what `psm` learns on a slide",
    "training": "`wsipsm train`",
    "export": "files",
    "schedule": "how work is handed out",
}


def command_line() -> str:
    """Every command with its arguments and options, from the application itself."""
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)
    lines = ["# Command line", "", "Made from the commands themselves; `wsipsm COMMAND --help` prints the same.", ""]
    lines += ["## wsipsm", "", *_options(root), ""]
    for name, command in _commands(root, "wsipsm"):
        lines += [f"## {name}", "", *_help(command.help or ""), "", *_options(command), ""]
    return "\n".join(lines)


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _help(text: str) -> Iterator[str]:
    """Paragraphs; example lines, which are indented, as a block of code."""
    for paragraph in re.split(r"\n\s*\n", re.sub(r"\[/?bold\]", "", text).strip()):
        example = paragraph.strip().startswith("wsipsm ")
        yield f"    {paragraph.strip()}" if example else " ".join(paragraph.split())
        yield ""


def _options(command: click.Command) -> Iterator[str]:
    yield "| option | value | |"
    yield "| --- | --- | --- |"
    for one in command.params:
        names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts) if name != "--help")
        if isinstance(one, click.Argument):
            names = f"`{one.human_readable_name}`"
        if names:
            yield f"| {names} | {_value(one)} | {_cell(_meaning(one))} |"


def _value(one: click.Parameter) -> str:
    if getattr(one, "is_flag", False):
        return ""
    if isinstance(one.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in map(str, one.type.choices))
    return f"`{_cell(one.metavar or one.type.name.upper())}`"


def _meaning(one: click.Parameter) -> str:
    default = "" if one.default in (None, False, ()) or callable(one.default) else f" Default: `{one.default}`."
    return f"{getattr(one, 'help', '') or ''}{' Required.' if one.required else default}"


def keys() -> str:
    """Every key of the configuration: default, unit and meaning, as ``wsipsm config show`` explains them."""
    lines = [
        "# Every key",
        "",
        "Made from the models of the configuration; `wsipsm config show` prints the same as a file to edit. A key ends "
        "in its unit: `_um` micrometres, `_um2` square micrometres, `_px` pixels of the working plane, `_od` optical "
        "density, `_s` seconds.",
        "",
        *_sections(Config()),
        "# Keys of the method as published",
        "",
        "Of `wsipsm train --config paper`; `wsipsm config show paper` prints them.",
        "",
        *_sections(PaperSettings(), prefix="paper: "),
    ]
    return "\n".join(lines)


def _sections(settings: Section, *, prefix: str = "") -> Iterator[str]:
    for name, section in settings:
        if isinstance(section, Section):
            yield from (f"## {prefix}{name}", "", (type(section).__doc__ or "").split("\n\n")[0], "")
            if not prefix:
                yield f"Changes: {', '.join(_changes(section))}."
                yield ""
            yield from ("| key | default | |", "| --- | --- | --- |")
            for key, value in section.model_dump(mode="json").items():
                meaning = type(section).model_fields[key].description or ""
                yield f"| `{key}` | `{_plain(value)}` | {_cell(meaning)} |"
            yield ""


def _changes(section: Section) -> Iterator[str]:
    purposes = section.purposes.union(*section.other_purposes.values())
    yield from (words for purpose, words in CHANGES.items() if purpose in purposes)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _cell(text: str) -> str:
    """Text that a cell of a table can hold."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;").split())


PAGES: dict[str, Callable[[], str]] = {"reference/command-line.md": command_line, "reference/keys.md": keys}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages (MkDocs calls this once the folder was read)."""
    from mkdocs.structure.files import File

    for path, text in PAGES.items():
        files.append(File.generated(config, path, content=text()))
    return files


def on_post_page(output: str, **_: Any) -> str:
    """Leave out scripts of other hosts, which notebooks bring for formulas and diagrams that none of ours has."""
    return re.sub(r"<script(?:(?!</script>).)*?https://(?:(?!</script>).)*</script>", "", output, flags=re.DOTALL)

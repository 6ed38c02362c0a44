"""Documents: their blocks of code, command lines, links and headings."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import click
import typer

from wsipsm.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "notebooks" / "README.md"]
    + [path for path in (ROOT / "docs").rglob("*.md") if "notebooks" not in path.relative_to(ROOT).parts]
)

_BLOCK = re.compile(r"(?:<!-- skip: (?P<why>[^\n]*?) -->\n)?^```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_JOINS = {"&&", "||", ";", "|"}


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes
    ----------
    kind : str
        Language of the fence.
    text : str
        Between the fences.
    why : str
        Why it cannot be run by a test, from the comment above it; else empty.
    """

    kind: str
    text: str
    why: str


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks_of(path: Path) -> list[Block]:
    found = _BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [Block(one["kind"], one["text"], one["why"] or "") for one in found]


def prose_of(path: Path) -> str:
    """Text without blocks of code."""
    return _BLOCK.sub("", path.read_text(encoding="utf-8"))


def inline_code(path: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_of(path).replace("``", "`"))


def links_of(path: Path) -> list[str]:
    return _LINK.findall(re.sub(r"`[^`\n]*`", "", prose_of(path)))


def anchors_of(path: Path) -> set[str]:
    """Anchors of headings, as GitHub and MkDocs make them."""
    text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


def lines_of(block: Block) -> list[str]:
    """Command lines; those that end in a backslash go on."""
    joined = re.sub(r"\\\n\s*", " ", block.text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def commands_of(line: str) -> Iterator[list[str]]:
    """Commands of a line, split where a shell does."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    for is_join, part in groupby(words, key=_JOINS.__contains__):
        if not is_join:
            yield list(part)


def wsipsm_arguments(line: str) -> list[list[str]]:
    """Arguments of each call of wsipsm in a line, without redirections."""
    found = []
    for command in commands_of(line):
        names = [number for number, word in enumerate(command) if word.rsplit("/", 1)[-1] == "wsipsm"]
        if names[:1] == [0]:
            end = next((number for number, word in enumerate(command) if word in {">", "<", ">>"}), len(command))
            found.append(command[1:end])
    return found


@functools.cache
def options_of_all_commands() -> frozenset[str]:
    names = {
        name for command in _commands(_root()) for one in command.params for name in (*one.opts, *one.secondary_opts)
    }
    return frozenset(name for name in names if name.startswith("-"))


def refusal(arguments: list[str], *, complete: bool) -> str:
    """Why the command line refuses arguments, or nothing; ``complete``: required ones must be there."""
    command: click.Command = _root()
    words = list(arguments)
    while isinstance(command, click.Group) and words:
        if words[0].startswith("-"):
            break
        if (below := command.commands.get(words[0])) is None:
            return f"no such command: {words[0]}"
        command, words = below, words[1:]
    try:
        command.make_context("wsipsm", words)
    except click.exceptions.Exit:
        return ""
    except click.MissingParameter as error:
        return error.format_message() if complete else ""
    except click.UsageError as error:
        return error.format_message()
    return ""


@functools.cache
def _root() -> click.Group:
    root = typer.main.get_command(app)
    assert isinstance(root, click.Group)
    return root


def _commands(group: click.Group) -> Iterator[click.Command]:
    yield group
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from _commands(command)
        else:
            yield command

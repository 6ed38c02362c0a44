"""Public functions say what they take, give and raise."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

import pytest

import wsipsm
from tests.helpers.docstrings import Function, arguments, named, public, raised, returns_something, sections
from tests.helpers.imports import MODULES, place_of
from wsipsm.core import errors

FEW = 2
"""Arguments that the first line may explain; more need a section."""
ERRORS = {
    name: {base.__name__ for base in thing.__mro__}
    for name, thing in vars(errors).items()
    if inspect.isclass(thing) and issubclass(thing, errors.WsipsmError)
}
"""Our errors with their bases."""


def functions(path: Path) -> list[tuple[str, Function]]:
    found = public(ast.parse(path.read_text(encoding="utf-8")))
    return [(name, node) for name, node in found if not isinstance(node, ast.ClassDef)]


def doc(node: Function | ast.ClassDef | ast.Module) -> str:
    return ast.get_docstring(node) or ""


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assert doc(tree), path
    assert [name for name, node in public(tree) if not doc(node)] == []


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_arguments_are_explained_all_or_none(path: Path) -> None:
    """A command's are explained where they are declared, for ``--help``."""
    lacking = {}
    for name, node in functions(path):
        found, given = sections(doc(node)), arguments(node)
        explained = named(found.get("Parameters", ""))
        needed = "Parameters" in found or (len(given) > FEW and place_of(path).split("/")[0] != "cli")
        if needed and (wrong := set(given) ^ explained):
            lacking[name] = wrong
    assert lacking == {}


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_errors_that_a_function_raises_are_named(path: Path) -> None:
    lacking = {}
    for name, node in functions(path):
        text = doc(node)
        unnamed = {one for one in raised(node, set(ERRORS)) if not any(base in text for base in ERRORS[one])}
        if unnamed and "errors as" not in text:
            lacking[name] = unnamed
    assert lacking == {}


@pytest.mark.parametrize("name", sorted(set(wsipsm.__all__) - {"__version__"}))
def test_the_interface_explains_every_argument_and_result(name: str) -> None:
    thing = getattr(wsipsm, name)
    source, _ = inspect.getsourcelines(inspect.unwrap(thing))
    (node,) = ast.parse("".join(source)).body
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)

    if isinstance(node, ast.ClassDef):
        assert doc(node)
        return
    found = sections(doc(node))
    assert set(arguments(node)) == named(found.get("Parameters", ""))
    assert "Returns" in found or not returns_something(node)
    assert "Raises" in found, "everything that reads or writes can fail"


def test_the_check_finds_what_is_missing() -> None:
    text = """
    def f(a, b, *c, **d) -> int:
        '''One.

        Parameters
        ----------
        a, b : int
            Two.
        **d
            Three.
        '''
        raise ConfigError
    """
    ((_, node),) = public(ast.parse(textwrap.dedent(text)))

    assert isinstance(node, ast.FunctionDef)
    assert set(arguments(node)) - named(sections(doc(node))["Parameters"]) == {"c"}
    assert raised(node, {"ConfigError", "InputError"}) == {"ConfigError"}
    assert returns_something(node)

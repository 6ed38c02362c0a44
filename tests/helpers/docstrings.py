"""What the docstrings of a module lack, by its syntax tree."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def public(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Public classes, functions and methods with their dotted names; of properties only the getter."""
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.ClassDef | Function) or node.name.startswith("_"):
            continue
        if any(ast.unparse(one).endswith(".setter") for one in node.decorator_list):
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{prefix}{node.name}.")


def arguments(node: Function) -> list[str]:
    """Names of the arguments, without ``self`` and ``cls``."""
    given = node.args
    everyone = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    more = [one for one in (given.vararg, given.kwarg) if one is not None]
    return [one.arg for one in [*everyone, *more] if one.arg not in {"self", "cls"}]


def sections(docstring: str) -> dict[str, str]:
    """Sections of a numpydoc docstring by their heading."""
    parts = re.split(r"^(\w[\w ]+)\n-{3,}$", docstring, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named(section: str) -> set[str]:
    """Names in the lines of a section that begin an entry: ``a, b : int``, ``**options``, or a name alone."""
    heads = [line.split(" : ")[0] for line in section.splitlines() if line and not line.startswith(" ")]
    return {name.strip(" `*") for head in heads for name in head.split(",")}


def raised(node: Function, errors: set[str]) -> set[str]:
    """Errors among ``errors`` that the body raises itself, not in a function inside it."""
    found, left = set(), list(ast.iter_child_nodes(node))
    while left:
        one = left.pop()
        if isinstance(one, ast.Raise) and one.exc is not None:
            called = one.exc.func if isinstance(one.exc, ast.Call) else one.exc
            found |= {ast.unparse(called)} & errors
        if not isinstance(one, ast.ClassDef | Function | ast.Lambda):
            left.extend(ast.iter_child_nodes(one))
    return found


def returns_something(node: Function) -> bool:
    """Whether its annotation names a result, and it is no property, whose first line says what it is."""
    decorators = {ast.unparse(one) for one in node.decorator_list}
    found = ast.unparse(node.returns) if node.returns else ""
    return found not in {"", "None", "NoReturn"} and not decorators & {"property", "cached_property"}

"""What files of the package import."""

from __future__ import annotations

import ast
from pathlib import Path

import wsipsm

PACKAGE = Path(wsipsm.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too; ``wsipsm.x`` for ``from wsipsm import x``."""
    return imports_in(ast.parse(path.read_text(encoding="utf-8")))


def imports_in(tree: ast.Module) -> set[str]:
    """As `imports_of`, of parsed text."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import: {ast.unparse(node)}"
            if node.module == "wsipsm":
                found |= {f"wsipsm.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
            else:
                found.add(node.module or "")
    return found


def place_of(path: Path) -> str:
    """Where a file stands in the package, as ``room/module``."""
    return path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")

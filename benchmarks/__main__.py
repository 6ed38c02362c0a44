"""Run a benchmark by its name: ``python -m benchmarks NAME [its options]``; without a name, list them."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> dict[str, str]:
    """Every benchmark and the first line of what it says of itself."""
    trees = {path.stem: ast.parse(path.read_text()) for path in sorted(FOLDER.glob("[a-z]*.py"))}
    runnable = {name: tree for name, tree in trees.items() if isinstance(tree.body[-1], ast.If)}
    return {name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in runnable.items()}


def main() -> None:
    found = names()
    if len(sys.argv) < 2 or sys.argv[1] not in found:
        width = max(map(len, found))
        print("python -m benchmarks NAME [options; --help shows them]\n")
        print("\n".join(f"  {name:<{width}}  {text}" for name, text in found.items()))
        raise SystemExit(0 if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help"} else 2)
    name = sys.argv.pop(1)
    sys.argv[0] = f"python -m benchmarks {name}"
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    main()

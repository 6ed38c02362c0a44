"""Compiled functions where nothing can be kept on disk."""

from __future__ import annotations

from wsipsm.core.compiled import compiled


def test_a_function_whose_code_cannot_be_kept_is_compiled_all_the_same() -> None:
    scope: dict[str, object] = {}
    exec("def twice(value):\n    return 2 * value", scope)  # of no file, so Numba knows no folder for it

    twice = compiled(scope["twice"])  # type: ignore[type-var]

    assert twice(21) == 42  # type: ignore[operator]

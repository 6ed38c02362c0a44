"""Advice in the words of whoever called."""

from __future__ import annotations

import pytest

from wsipsm.core.errors import ConfigError, InputError
from wsipsm.core.words import as_called, in_shell, python_words


@pytest.mark.parametrize(
    ("said", "called"),
    [
        (
            "if there are cells, draw where and give it with --roi",
            "if there are cells, draw where and give it with roi",
        ),
        ("x: --slide-mpp must be a positive number", "x: slide_mpp must be a positive number"),
        ("0.5 µm/px, use --slide-mpp 0.5", "0.5 µm/px, use slide_mpp=0.5"),
        ("use --mpp 0.499, or correct it", 'use settings=["grid.mpp=0.499"], or correct it'),
        ("use --config he", 'use config="he"'),
        ("--device cuda: none; use --device auto or cpu", 'device="cuda": none; use device="auto" or cpu'),
        ("another folder, or start anew with --fresh", "another folder, or start anew with fresh=True"),
        ("--set tissue.exclude_pen=false takes", 'settings=["tissue.exclude_pen=false"] takes'),
        ("at 0.5, or --recognizer psm", 'at 0.5, or settings=["recognizer.method=psm"]'),
        ("as of wsipsm run --config ihc", "as of wsipsm run --config ihc"),
        ("vips tiffsave --tile --pyramid; --fix does", "vips tiffsave --tile --pyramid; --fix does"),
    ],
)
def test_options_become_arguments(said: str, called: str) -> None:
    assert as_called(said) == called
    with in_shell():
        assert as_called(said) == said
    assert as_called(said) == called


def test_an_error_keeps_its_class_and_attributes() -> None:
    @python_words
    def refuse(error: Exception) -> None:
        raise error

    with pytest.raises(InputError, match=r"^give a region with roi$"):
        refuse(InputError("give a region with --roi"))
    with pytest.raises(ConfigError, match="--roi"), in_shell():
        refuse(ConfigError("--roi"))
    with pytest.raises(ValueError, match="--roi"):
        refuse(ValueError("--roi"))

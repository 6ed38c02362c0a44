"""Messages of errors."""

from __future__ import annotations

from wsipsm.core.errors import ExtraError


def test_a_missing_package_names_the_extra_and_what_works_without_it() -> None:
    assert str(ExtraError("paper", "timm")) == "timm is not installed: pip install 'wsipsm[paper]'"
    assert str(ExtraError("notebooks", "geopandas", "Result.table() needs none")) == (
        "geopandas is not installed: pip install 'wsipsm[notebooks]'; Result.table() needs none"
    )

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsipsm.config import load_config, parse_config, problems_of_config
from wsipsm.core.errors import ConfigError, WsipsmError
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request


def test_a_dumped_configuration_is_read_back() -> None:
    config = load_config("he", ("tiles.core_px=512", "encoder.seed=3"))

    assert parse_config(config.model_dump(mode="json")) == config


def test_a_later_override_wins() -> None:
    assert load_config("he", ("tiles.core_px=512", "tiles.core_px=1536")).tiles.core_px == 1536


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("tiles.core_pxx=512", "did you mean 'core_px'"),
        ("tile.core_px=512", "did you mean 'tiles'"),
        ("tiles.core_px=500", "whole multiple or a whole part of block_px=512"),
        ("tiles.core_px=many", "tiles.core_px"),
        ("grid.mpp=500", "less than or equal to 20"),
        ("core_px=512", "expected section.key=value"),
        ("tiles.core_px", "expected section.key=value"),
        ("grid.mpp=[", "not a YAML value"),
        ("output.arrays=[cells]", "output.arrays.0: Input should be 'instances'"),
        ("labels=3", "expected section.key=value"),
    ],
)
def test_a_bad_override_says_what_is_wrong(override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load_config("he", (override,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("- a\n", "expected sections"), ("a: [", "not YAML"), ("tiles: 3\n", "expected keys and values")],
)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=expected):
        load_config(str(path))


def test_an_error_names_three_mistakes_and_where_all_of_them_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tiles: {core: 1, block: 2}\ngrid: {mpp: far}\n3: {}\ncells:\n")

    with pytest.raises(ConfigError) as refused:
        load_config(str(path))

    assert "\n" not in str(refused.value)
    assert "unknown key tiles.core, did you mean 'core_px'?; unknown key tiles.block" in str(refused.value)
    assert str(refused.value).endswith(f"and 2 more (wsipsm config check {path})")
    assert problems_of_config(str(path))[-2:] == [
        "grid.mpp: Input should be a valid number, unable to parse string as a number (got 'far')",
        "cells: expected keys and values, got None",
    ]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="expected one of he"):
        load_config("hee")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("of_a_manifest", [False, True])
def test_cores_below_the_halo_are_refused_before_any_slide_is_opened(tmp_path: Path, of_a_manifest: bool) -> None:
    (tmp_path / "s.tif").write_bytes(b"no slide")
    (tmp_path / "small.yaml").write_text("tiles: {core_px: 64, block_px: 64}")
    (tmp_path / "m.csv").write_text(f"slide,config\ns.tif,{tmp_path / 'small.yaml'}\n")
    name, inputs = ("he", tmp_path / "m.csv") if of_a_manifest else (str(tmp_path / "small.yaml"), tmp_path / "s.tif")

    with pytest.raises(WsipsmError, match=r"tiles\.core_px=64 is less than the halo of 97 px"):
        run(Request([str(inputs)], tmp_path / "out", load_config(name)))

    assert not (tmp_path / "out").exists()


def test_a_configuration_error_is_not_tried_again() -> None:
    assert not ConfigError.retryable

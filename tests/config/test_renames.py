"""Keys of earlier versions: one line says what they are called now, and records that hold them are understood."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsipsm.config import Config, load_config, problems_of_config, with_new_names
from wsipsm.config.renames import RENAMED
from wsipsm.core.errors import ConfigError

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def values() -> dict[str, object]:
    """Default of every key, as ``section.key``."""
    table = Config().model_dump(mode="json")
    return {f"{section}.{key}": value for section, keys in table.items() for key, value in keys.items()}


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_is_refused_with_its_new_name(old: str) -> None:
    override = old if "=" in old else f"{old}=1"

    with pytest.raises(ConfigError) as refused:
        load_config("he", (override,))

    assert str(refused.value) == f"he: {old} is called {RENAMED[old]} now"


@pytest.mark.parametrize("new", RENAMED.values())
def test_a_new_name_is_known(new: str) -> None:
    load_config("he", (new if "=" in new else f"{new}={values()[new]}",))


def test_an_old_file_is_refused_in_one_line_and_checked_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("segmenter: {rounds: 2, far_scale: 0.4, threshold: 0.2}\nlabels: {split: depth}\n")

    with pytest.raises(ConfigError) as refused:
        load_config(str(path))

    expected = [
        "segmenter.rounds is called training.rounds now",
        "segmenter.far_scale is called training.zoom_out_scale now",
        "labels.split=depth is called labels.split=h_maxima now",
    ]
    assert str(refused.value) == f"{path}: {'; '.join(expected)}"
    assert problems_of_config(str(path)) == expected


def test_the_record_of_an_earlier_version_is_read_with_its_values() -> None:
    old = {
        "segmenter": {"threshold": 0.2, "average": 0.9, "rounds": 0},
        "pseudolabels": {"split": "depth", "split_depth": 0.3},
        "labels": {"split": "shape"},
        "schedule": None,
    }

    assert with_new_names(old) == {
        "segmenter": {"threshold": 0.2},
        "training": {"ema_decay": 0.9, "rounds": 0},
        "pseudolabels": {"split": "h_maxima", "split_height": 0.3},
        "labels": {"split": "shape"},
    }


def test_names_of_this_version_stay() -> None:
    table = Config().model_dump(mode="json")

    assert with_new_names(table) == table


def test_the_document_lists_every_renamed_key() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)

    assert dict(rows) == RENAMED

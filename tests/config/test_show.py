"""The commented file: every key with its description, and the same settings when it is loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wsipsm.config import Config, Section, commented_yaml, load_config
from wsipsm.training.paper.settings import PaperSettings, load_paper_settings

CHANGED = (
    *("grid.mpp=0.25", "schedule.workers=3", "output.arrays=[instances, activation]", "output.objects=points"),
    *("training.learning_rate=1e-05", "tissue.exclude_pen=false", "labels.usual_area_um2=[1, 2, 3, 4]"),
)
UNITS = {
    "_um": "micrometres",
    "_um2": "square micrometres",
    "_px": "grid pixels",
    "_s": "seconds",
    "mpp": "crometres per",
}


@pytest.mark.parametrize("changed", [(), CHANGED])
def test_what_is_shown_loads_to_the_same_configuration(changed: tuple[str, ...], tmp_path: Path) -> None:
    config = load_config("he", changed)
    (tmp_path / "mine.yaml").write_text(commented_yaml(config))

    assert load_config(str(tmp_path / "mine.yaml")) == config


def test_what_is_shown_of_the_paper_loads_to_the_same_settings(tmp_path: Path) -> None:
    settings = load_paper_settings("paper", ("maps.stages=[layer1, layer2]", "encoder.learning_rate=1e-7"))
    (tmp_path / "mine.yaml").write_text(commented_yaml(settings))

    assert load_paper_settings(str(tmp_path / "mine.yaml")) == settings


@pytest.mark.parametrize("settings", [Config(), PaperSettings()], ids=["he", "paper"])
def test_every_key_stands_below_its_description(settings: Section) -> None:
    lines = commented_yaml(settings).splitlines()

    keys = [number for number, line in enumerate(lines) if re.match(r"^(  )?\w+:", line)]
    sections = {name: getattr(settings, name) for name in type(settings).model_fields}
    assert len(keys) == len(sections) + sum(len(section.model_dump()) for section in sections.values())
    assert all(re.match(r"^(  )?# \S", lines[number - 1]) for number in keys)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("section", [section for _, section in Config()], ids=lambda section: type(section).__name__)
def test_a_physical_key_names_its_unit(section: Section) -> None:
    for key, field in type(section).model_fields.items():
        assert all(unit in (field.description or "") for end, unit in UNITS.items() if key.endswith(end)), key

"""Classes go with a stain that has a marker, and their keys with each other."""

from __future__ import annotations

import pytest

from wsipsm.config import load_config
from wsipsm.core.errors import ConfigError


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        ("he", ("classes.scheme=positive",), "recognizer.stain: ihc"),
        ("ihc", ("recognizer.stain=unknown",), "recognizer.stain: ihc"),
        ("he", ("pseudolabels.source=hue",), "recognizer.stain: ihc"),
        ("ihc", ("classes.grades_od=[0.6,0.4]",), "rise"),
        ("ihc", ("classes.grades_od=[-1,0.4]",), "above 0"),
        ("he", ("recognizer.stain_vectors=estimate",), "stain: ihc"),
        ("ihc", ("recognizer.stain_vectors=[[0.6,0.7,0.3],[1.2,1.4,0.6]]",), "two different colours"),
        ("ihc", ("recognizer.stain_vectors=[[0.6,0.7,0.3]]",), "stain_vectors"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_starts(
    config: str, settings: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(config, settings)


def test_the_packaged_configuration_has_classes() -> None:
    config = load_config("ihc", ("classes.compartment=ring",))

    assert config.classes.around_nuclei
    assert not load_config("ihc").classes.around_nuclei
    assert not load_config("he").classes.around_nuclei

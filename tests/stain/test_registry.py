"""A stain is a row: names, vectors and checkpoint follow from it."""

from __future__ import annotations

from typing import cast, get_args

import numpy as np
import pytest

from wsipsm.cells.measurements import measurements
from wsipsm.config import RecognizerConfig
from wsipsm.core.stains import WITH_MARKER, Stain
from wsipsm.nuclei.models import shipped_model
from wsipsm.stain.normalise import as_stain, measure_slide
from wsipsm.stain.registry import STAINS, StainRow

GREEN_RED = ((0.2, 0.8, 0.1), (0.7, 0.1, 0.3), (0.1, 0.2, 0.9))


def test_the_rows_are_those_that_the_configuration_takes() -> None:
    assert list(STAINS) == list(get_args(Stain))
    assert {name for name, row in STAINS.items() if row.marker} == WITH_MARKER
    assert RecognizerConfig.model_fields["stain"].annotation == Stain


@pytest.mark.parametrize("stain", STAINS)
def test_every_row_has_its_checkpoint_and_its_columns(stain: Stain) -> None:
    assert shipped_model(stain).is_file()
    columns = {one.column for one in measurements(stain).values()}
    assert len(columns) == len(measurements(stain)) == (15 if STAINS[stain].marker else 12)


def test_a_new_row_brings_its_vectors_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STAINS, "new", StainRow("Green", "Red", "new.pt", GREEN_RED))
    new = cast(Stain, "new")
    patches = np.random.default_rng(0).integers(40, 200, (2, 64, 64, 3)).astype(np.uint8)

    assert measure_slide(patches, new).vectors == GREEN_RED
    assert as_stain({"stain": "new"}) == "new"
    assert measurements("new")["counterstain_od_mean"].title == "Nucleus: Red OD mean"

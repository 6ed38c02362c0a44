"""Conditions, compared with what pandas makes of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from wsipsm.core.errors import ConfigError
from wsipsm.results.where import parse_where

TABLE = pa.table(
    {
        "label": np.arange(200),
        "area_um2": np.random.default_rng(0).uniform(0, 100, 200).astype(np.float32),
        "confidence": np.random.default_rng(1).uniform(0, 1, 200).astype(np.float32),
        "class": np.random.default_rng(2).choice(["Positive", "Negative", "1+"], 200),
        "bbox": [{"xmin": 0.0}] * 200,
    }
)
FRAME = TABLE.to_pandas()


@pytest.mark.parametrize(
    "condition",
    [
        "area_um2 > 20",
        "area_um2>=20.5 and confidence<.5",
        "label == 7 or label == 9 and area_um2 < 200",
        "(label == 7 or label == 9) and area_um2 < 0",
        "not (area_um2 > 20) and not label > 100",
        'class == "Positive"',
        "class != '1+' and area_um2 < 1e1",
        "area_um2 > -5 and label <= 1e2",
    ],
)
def test_conditions_mean_what_they_mean_in_pandas(condition: str) -> None:
    found = TABLE.filter(parse_where(condition, TABLE.schema))["label"].to_pylist()

    assert found == FRAME.query(condition.replace("class", "`class`"))["label"].tolist()


def test_one_equals_sign_and_capitals_are_understood() -> None:
    found = TABLE.filter(parse_where("class = 'Positive' AND label <> 3", TABLE.schema))["label"].to_pylist()

    assert found == FRAME.query("`class` == 'Positive' and label != 3")["label"].tolist()


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("area > 20", "no column 'area'"),
        ("bbox > 20", "no column 'bbox'"),
        ("area_um2", "expected a comparison"),
        ("area_um2 >", "compared with nothing, expected a number"),
        ("area_um2 > 'x'", "expected a number"),
        ("class == 3", "expected a quoted text"),
        ("area_um2 > 20 20", "expected 'and', 'or' or the end"),
        ("(area_um2 > 20", "expected ')'"),
        ("20 < area_um2", "expected a column, got '20'"),
        ("", "expected a column"),
        ("__import__('os').system('true')", "cannot be read"),
        ("area_um2 > 20; label", "cannot be read"),
        ("class == 'Positive", "cannot be read"),
        ("not " * 100 + "label > 3", "too deeply nested"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_known_columns(condition: str, expected: str) -> None:
    with pytest.raises(ConfigError, match="known columns: label, area_um2, confidence, class") as caught:
        parse_where(condition, TABLE.schema)

    assert expected in str(caught.value)

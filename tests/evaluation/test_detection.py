"""Measures of points, agreement of the index, and their report, against figures worked out by hand or by a library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, precision_recall_fscore_support

from wsipsm.evaluation.agreement import agreement, indices
from wsipsm.evaluation.bootstrap import interval
from wsipsm.evaluation.detection import count, measures
from wsipsm.evaluation.detection_report import make_point_report
from wsipsm.evaluation.evaluate import Settings
from wsipsm.evaluation.evaluate_points import PointScores
from wsipsm.evaluation.pairing import Pairs
from wsipsm.evaluation.picture import FALSE_ALARM, HIT, MISS
from wsipsm.evaluation.point_picture import IGNORED, WRONG_CLASS, draw_points
from wsipsm.evaluation.points import Points, make_points

POSITIVE, NEGATIVE, DETECTION = range(3)


def points(text: str) -> Points:
    """Points at x = 0, 10, 20 and so on of one letter each: + and - classes, c a cell, i ignored, a blank none."""
    names = {"+": "Positive", "-": "Negative", "c": "Nucleus", "i": "Lymphocyte"}
    placed = [(10 * place, names[letter]) for place, letter in enumerate(text) if letter != " "]
    return make_points([(x, 0) for x, _ in placed], [name for _, name in placed])


def counted(truth: str, found: str) -> np.ndarray:
    return count(points(truth), points(found), 3)


def report_of(*images: tuple[str, str], groups: dict[str, str] | None = None) -> dict[str, Any]:
    scores = [
        PointScores(str(place), 1.0, np.stack([counted(*one)] * 3), 0, points(one[0]), points(one[1]))
        for place, one in enumerate(images)
    ]
    return make_point_report(scores, Pairs({}, (), ()), Settings(), groups=groups)


def test_counts_by_hand() -> None:
    #                hit, wrong class, miss, false alarm, a cell without class, hit
    counts = counted("++- -+", "+--+c ")

    assert counts.tolist() == [[1, 3, 2], [1, 2, 2], [4, 5, 5]]


def test_what_lies_on_an_ignored_point_counts_neither_way() -> None:
    counts = counted("+i-i", "++-  ")
    twice = count(points(" i"), make_points([(10, 0), (11, 0)], ["Positive", "Positive"]), 3)

    assert counts.tolist() == [[1, 1, 1], [1, 1, 1], [2, 2, 2]]
    assert twice.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_measures_equal_those_of_a_library() -> None:
    # Every cell is found, so that classes of matched cells are all there is to compare.
    rng = np.random.default_rng(0)
    true, found = rng.choice(["+", "-"], 60), rng.choice(["+", "-"], 60)

    values = measures(counted("".join(true), "".join(found)))

    expected = precision_recall_fscore_support(true, found, labels=["+", "-"])[:3]
    assert pytest.approx(np.array(expected)) == values[:2].T
    assert values[2] == pytest.approx(np.mean(expected, axis=1))
    assert values[3] == pytest.approx(1)


def test_what_is_not_defined_is_null_and_pooled_by_counts() -> None:
    report = report_of(("--", "+-"), ("++", "++"), ("", ""))

    first, _, empty = (one["scores"]["positive"] for one in report["images"])
    assert (first["precision"], first["recall"], first["f1"], first["n_found"]) == (0, None, None, 1)
    assert (empty["precision"], empty["recall"], empty["f1"]) == (None, None, None)
    pooled = report["pooled"][0]["scores"]
    assert pooled["positive"]["f1"] == pytest.approx(2 * 2 / (2 + 3))
    assert pooled["negative"]["f1"] == pytest.approx(2 * 1 / (2 + 1))
    assert pooled["mean"]["f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert report["images"][0]["scores"]["mean"]["f1"] is None
    assert [one["index"]["true"] for one in report["images"]] == [0, 100, None]


def test_errors_of_counts_and_index() -> None:
    report = report_of(("++--", "+-- "), ("+---", "++++"), ("--", "--"))

    errors, index = report["count_error"], report["index"]
    assert [errors[name] for name in ("positive", "negative", "all")] == pytest.approx([4 / 3, 3 / 3, 1 / 3])
    differences = [100 / 3 - 50, 100 - 25, 0]
    assert index["mean_absolute_error"] == pytest.approx(np.abs(differences).mean())
    assert index["bias"] == pytest.approx(np.mean(differences))
    assert errors["interval"]["all"] == pytest.approx([0, 1])


def test_agreement_equals_that_of_libraries() -> None:
    rng = np.random.default_rng(2)
    true = rng.uniform(0, 50, 40)
    found = np.clip(true + rng.normal(3, 8, 40), 0, 100)

    result = agreement(np.append(true, np.nan), np.append(found, 4.0))

    assert result["images"] == 40
    assert result["pearson"] == pytest.approx(stats.pearsonr(true, found).statistic)
    error = found - true
    expected = [error.mean() - 1.96 * np.std(error, ddof=1), error.mean() + 1.96 * np.std(error, ddof=1)]
    assert result["limits"] == pytest.approx(expected)
    for cut, one in result["cut_offs"].items():
        sides = true >= float(cut), found >= float(cut)
        assert one["same_side"] == pytest.approx(np.mean(sides[0] == sides[1]))
        assert one["kappa"] == pytest.approx(cohen_kappa_score(*sides))


def test_agreement_of_too_few_or_equal_images_is_null() -> None:
    none, one, equal = (agreement(np.array(x), np.array(x)) for x in ([np.nan], [40.0], [40.0, 40.0]))

    assert (none["images"], none["bias"], none["cut_offs"]["5"]["same_side"]) == (0, None, None)
    assert (one["bias"], one["limits"], one["pearson"]) == (0, None, None)
    assert (equal["limits"], equal["pearson"]) == ([0, 0], None)
    assert equal["cut_offs"]["5"] == {"same_side": 1, "kappa": None}


def test_indices() -> None:
    true, found = indices(counted("++--", "+---"))

    assert (true, found) == (50, 25)


def test_without_classes_only_the_detection_is_scored() -> None:
    nuclei, nothing = report_of(("+-", "cc"), ("+", "c")), report_of(("+-", ""), ("+", ""))

    assert nuclei["classes"] is False
    scores = nuclei["pooled"][0]["scores"]
    assert (scores["positive"]["f1"], scores["positive"]["n_true"], scores["mean"]["f1"]) == (None, 2, None)
    assert scores["detection"]["f1"] == 1
    assert (nuclei["count_error"]["positive"], nuclei["count_error"]["all"]) == (None, 0)
    assert nuclei["index"]["images"] == 0
    # Who finds nothing at all has an F1 of 0, not none.
    assert nothing["classes"] is True
    assert nothing["pooled"][0]["scores"]["positive"]["f1"] == 0


def test_groups_add_up_counts() -> None:
    report = report_of(("++", "+"), ("+", "+"), ("-", "-"), groups={"0": "a", "1": "a", "2": "b"})

    assert report["groups"]["a"]["images"] == 2
    assert report["groups"]["a"]["scores"]["positive"]["recall"] == pytest.approx(2 / 3)
    assert report["groups"]["b"]["scores"]["positive"]["recall"] is None


def test_interval_of_a_ratio() -> None:
    rng = np.random.default_rng(5)
    values = rng.poisson([30, 60], (400, 2)).astype(float)

    limits = interval(values, lambda means: means[:, :1] / means[:, 1:])

    assert limits is not None
    ratio = values[:, 0].sum() / values[:, 1].sum()
    # Delta method: the error of a ratio of means.
    error = np.std(values[:, 0] - ratio * values[:, 1]) / values[:, 1].mean() / 20
    assert limits.ravel() == pytest.approx([ratio - 1.96 * error, ratio + 1.96 * error], abs=0.2 * error)


def test_interval_leaves_out_resamples_without_a_value() -> None:
    values = np.array([[1.0, 1, 0], [0, 0, 0]])

    limits = interval(values, lambda means: np.where(means > 0, means / np.where(means > 0, means, 1), np.nan))

    assert limits is not None
    assert np.array_equal(limits, [[1, 1, np.nan]] * 2, equal_nan=True)


def test_picture_by_hand() -> None:
    truth, found = (Points(one.xy * 2 + np.array([0, 20]), one.kinds) for one in (points(" +-+i"), points(" ++  +")))
    found = Points(np.append(found.xy, [[80, 20]], axis=0), np.append(found.kinds, found.kinds[:1]))

    picture = draw_points(truth, found, 8, image=np.zeros((40, 120, 3), np.uint8))

    # Hit, wrong class, miss, found on an ignored point, false alarm.
    colors = [_color_left_of(picture, x) for x in (20, 40, 60, 80, 100)]
    assert colors == [HIT, WRONG_CLASS, MISS, IGNORED, FALSE_ALARM]


def _color_left_of(picture: np.ndarray, x: int) -> tuple[int, ...]:
    """Colour of the ring, 4 px wide of the centre (x, 20), on its left."""
    return tuple(picture[20, x - 4].tolist())


def test_a_picture_without_image_holds_all_points() -> None:
    picture = draw_points(points("+    +"), points(""), 6)

    assert picture.shape[1] > 50
    assert MISS in {tuple(color) for color in picture.reshape(-1, 3).tolist()}

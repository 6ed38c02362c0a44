"""Evaluation as the command does it, whichever the ground truth is: points or areas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wsipsm.core.errors import EvaluationError
from wsipsm.evaluation.detection_report import make_point_report
from wsipsm.evaluation.evaluate import Settings, evaluate
from wsipsm.evaluation.evaluate_points import evaluate_points
from wsipsm.evaluation.report import make_report, read_groups
from wsipsm.evaluation.truth_kind import is_of_points

__all__ = ["Settings", "report_of"]


def report_of(predictions: Path, truth: Path, settings: Settings, *, groups: Path | None = None) -> dict[str, Any]:
    """Report of predictions against a ground truth; ``kind`` says which: ``areas`` or ``points``.

    Parameters
    ----------
    predictions, truth : Path
        Files or folders.
    settings : Settings
        Options.
    groups : Path or None
        CSV file, see `read_groups`.

    Raises
    ------
    EvaluationError
        Something cannot be read, paired or compared, or an option does not go with the ground truth.
    """
    table = None if groups is None else read_groups(groups)
    if is_of_points(truth):
        counted, pairs = evaluate_points(predictions, truth, settings)
        return make_point_report(counted, pairs, settings, groups=table)
    if settings.radius_um is not None or settings.truth_mpp is not None:
        raise EvaluationError("radius-um and truth-mpp are for a ground truth of points; this one is of areas")
    scored, pairs = evaluate(predictions, truth, settings)
    return make_report(scored, pairs, settings, groups=table)

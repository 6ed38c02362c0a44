"""Evaluates the points of many images: reads, pairs, matches and draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wsipsm.core.errors import EvaluationError
from wsipsm.core.files import make_folder, write_bytes
from wsipsm.evaluation.detection import Counts, count, wrong_class
from wsipsm.evaluation.evaluate import Settings, read_image
from wsipsm.evaluation.pairing import Pairs, pair_names
from wsipsm.evaluation.point_picture import draw_points
from wsipsm.evaluation.point_sources import Source, predicted_sources, true_sources
from wsipsm.evaluation.points import Kind, Points
from wsipsm.results.draw import png

RADIUS_UM = 6.0
"""Greatest distance of a match, micrometres, about the radius of a nucleus."""

OTHER_RADII_UM = (3.1, 2.5)
"""Radii that others publish at: 10 px of frames scaled to 512 px, at 40x."""


@dataclass(frozen=True, slots=True)
class PointScores:
    """What was counted in one image.

    Attributes
    ----------
    name : str
        Of the image.
    mpp : float
        Micrometres per pixel of the truth.
    counts : (R, 3, 3) float64
        For each of `radii_um` the counts of `wsipsm.evaluation.detection.count`.
    wrong : int
        Matches of a positive with a negative point, regardless of class.
    truth, found : Points
        What was compared.
    """

    name: str
    mpp: float
    counts: Counts
    wrong: int
    truth: Points
    found: Points

    @property
    def has_classes(self) -> tuple[bool, bool]:
        """Whether some point of the truth, and of the prediction, has a class."""
        truth, found = (len(one.of(Kind.POSITIVE, Kind.NEGATIVE)) > 0 for one in (self.truth, self.found))
        return truth, found


def radii_um(settings: Settings) -> tuple[float, ...]:
    """Radii of the matches, micrometres: the one asked for, then those printed beside it."""
    chosen = RADIUS_UM if settings.radius_um is None else settings.radius_um
    return (chosen, *(radius for radius in OTHER_RADII_UM if radius != chosen))


def evaluate_points(
    predictions: Path, truth: Path, settings: Settings | None = None
) -> tuple[list[PointScores], Pairs]:
    """Counts of every image, and the pairs of files.

    Parameters
    ----------
    predictions, truth : Path
        As of `predicted_sources` and `true_sources`.
    settings : Settings or None
        Options; by default those of `Settings`.

    Raises
    ------
    EvaluationError
        Files cannot be read or paired, or an option is for areas.
    """
    settings = settings or Settings()
    _refuse_options_of_areas(settings)
    found, true = predicted_sources(predictions), true_sources(truth)
    names, missing, unused = pair_names(found, true, (predictions, truth), allow_missing=settings.allow_missing)
    if settings.picture is not None:
        make_folder(settings.picture)
    scores = [_score(name, true[name], found[other], settings) for name, other in names.items()]
    paths = {name: (found[other].path, true[name].path) for name, other in names.items()}
    return scores, Pairs(paths, missing, unused)


def _refuse_options_of_areas(settings: Settings) -> None:
    given = {
        "outlines": settings.outlines,
        "downsample": settings.downsample != 1,
        "xml_convention": settings.xml_convention != Settings().xml_convention,
        "protocol paper": settings.paper,
    }
    if names := [name for name, is_given in given.items() if is_given]:
        raise EvaluationError(f"{names[0]} is for a ground truth of areas; this one is of points")


def _score(name: str, truth_source: Source, found_source: Source, settings: Settings) -> PointScores:
    mpp = _mpp(name, found_source, settings)
    truth, found = truth_source.read().once(), found_source.read().counted()
    if truth.from_qupath:
        truth = truth.moved(found_source.qupath_origin)
    radii = [radius / mpp for radius in radii_um(settings)]
    counts = np.stack([count(truth, found, radius) for radius in radii])
    wrong, _ = wrong_class(truth.counted(), found, radii[0])
    if settings.picture is not None:
        image = None if settings.images is None else read_image(name, settings.images)
        picture = draw_points(truth, found, radii[0], image=image)
        write_bytes(settings.picture / f"{name}.png", png(picture))
    return PointScores(name, mpp, counts, len(wrong), truth, found)


def _mpp(name: str, found: Source, settings: Settings) -> float:
    mpp = settings.truth_mpp or found.mpp
    if mpp is None:
        raise EvaluationError(
            f"{name}: how large a pixel of the truth is, is not known, as {found.path} is not the output of a run that "
            "says so; give it with --truth-mpp, in micrometres (0.25 for 40x)"
        )
    return mpp

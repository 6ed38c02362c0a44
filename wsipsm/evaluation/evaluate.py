"""Evaluates many images: reads files, brings both sides into one frame, scores and draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import EvaluationError
from wsipsm.core.files import make_folder, write_bytes
from wsipsm.evaluation.groundtruth import Objects, read_pixels
from wsipsm.evaluation.metrics import Scores, score_labels
from wsipsm.evaluation.pairing import Pairs, pair
from wsipsm.evaluation.paper_protocol import PaperScores, score_paper
from wsipsm.evaluation.picture import draw
from wsipsm.evaluation.predictions import Prediction, read_prediction, read_truth, resample
from wsipsm.evaluation.rasterise import Convention, Outlines, rasterise
from wsipsm.results.draw import png

MAX_PIXELS = 1_000_000_000
"""Larger images are refused: a comparison keeps two label images in memory."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of an evaluation.

    Attributes
    ----------
    outlines : bool
        Of the output of a run, use the outlines instead of the label image.
    downsample : float
        Truth pixels per pixel of predicted label images; that of a run is in its record.
    xml_convention : str
        Pixel convention of outlines in an XML ground truth.
    allow_missing : bool
        Leave out ground truths without a prediction instead of raising an error.
    paper : bool
        Also score as the code of the PSM paper does.
    images, picture : Path or None
        Folder of the images; folder that pictures are written to.
    radius_um : float or None
        For points only: greatest distance of a match, micrometres; by default 6.
    truth_mpp : float or None
        For points only: micrometres per pixel of the truth; by default that in the record of a run.
    """

    outlines: bool = False
    downsample: float = 1.0
    xml_convention: Convention = "vertex"
    allow_missing: bool = False
    paper: bool = False
    images: Path | None = None
    picture: Path | None = None
    radius_um: float | None = None
    truth_mpp: float | None = None

    def __post_init__(self) -> None:
        if not self.downsample > 0 or not np.isfinite(self.downsample):
            raise EvaluationError(f"downsample {self.downsample}: expected a positive number")
        for name, value in (("radius_um", self.radius_um), ("truth_mpp", self.truth_mpp)):
            if value is not None and not (value > 0 and np.isfinite(value)):
                raise EvaluationError(f"{name} {value}: expected a positive number of micrometres")


@dataclass(frozen=True, slots=True)
class ImageScores:
    """Scores of one image, with ``Settings.paper`` also those of the paper's scorer, and what was left out of files."""

    name: str
    scores: Scores
    paper: PaperScores | None = None
    notes: tuple[str, ...] = ()


def evaluate(predictions: Path, truth: Path, settings: Settings | None = None) -> tuple[list[ImageScores], Pairs]:
    """Scores of every image, and the pairs of files.

    Parameters
    ----------
    predictions : Path
        Output folder of a run, a folder of files, or a file.
    truth : Path
        A folder of files, or a file.
    settings : Settings or None
        Options; by default those of `Settings`.

    Raises
    ------
    EvaluationError
        Files cannot be read, paired or compared.
    """
    settings = settings or Settings()
    pairs = pair(predictions, truth, allow_missing=settings.allow_missing)
    if settings.picture is not None:
        make_folder(settings.picture)
    return list(_score_all(pairs, settings)), pairs


def _score_all(pairs: Pairs, settings: Settings) -> Iterator[ImageScores]:
    for name, (prediction_path, truth_path) in pairs.paths.items():
        image = read_image(name, settings.images) if settings.images is not None else None
        prediction = read_prediction(prediction_path, outlines=settings.outlines, downsample=settings.downsample)
        true_objects = read_truth(truth_path, prediction, xml_convention=settings.xml_convention)
        try:
            truth, found = to_one_frame(true_objects, prediction, None if image is None else image.shape[:2])
            scores = score_labels(truth, found)
        except EvaluationError as error:
            raise EvaluationError(f"{name}: {error}") from None
        if settings.picture is not None:
            write_bytes(settings.picture / f"{name}.png", png(draw(truth, found, image=image)))
        notes = _notes({truth_path: true_objects, prediction_path: prediction.objects})
        yield ImageScores(name, scores, score_paper(truth, found) if settings.paper else None, notes)


def _notes(sides: dict[Path, Objects]) -> tuple[str, ...]:
    return tuple(f"{path}: {one.note}" for path, one in sides.items() if isinstance(one, Outlines) and one.note)


def to_one_frame(
    truth: Objects, prediction: Prediction, image_shape: tuple[int, ...] | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Label images of truth and prediction in the pixels of the truth's image.

    Their size is that of the truth label image, else of the image itself, else that stated by the prediction; all that
    are known must agree. Where only outlines are known, it is the smallest that holds them all: no measure depends on
    it.

    Parameters
    ----------
    truth : Objects
        Pixels of the truth's image.
    prediction : Prediction
        With its own pixel size.
    image_shape : (int, ...), optional
        Of the image itself, (y, x) first.

    Raises
    ------
    EvaluationError
        Shapes differ, or the image is too large.
    """
    found = prediction.objects
    shapes = {
        "the truth": truth.shape if isinstance(truth, np.ndarray) else None,
        "the image": None if image_shape is None else (image_shape[0], image_shape[1]),
        "the prediction": prediction.shape,
    }
    sizes = {name: shape for name, shape in shapes.items() if shape is not None}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {shape[1]} x {shape[0]} px" for name, shape in sizes.items())
        raise EvaluationError(f"shapes differ: {listed}; labels of a lower resolution need --downsample")
    outlined = [one.shape for one in (truth, found) if not isinstance(one, np.ndarray)]
    shape = next(iter(sizes.values()), None) or tuple(np.max([*outlined, (1, 1)], axis=0).tolist())
    if shape[0] * shape[1] > MAX_PIXELS:
        raise EvaluationError(f"an image of {shape[1]} x {shape[0]} px is too large to compare; cut out a region")
    true_labels = truth if isinstance(truth, np.ndarray) else rasterise(truth, shape)
    if not isinstance(found, np.ndarray):
        return true_labels, rasterise(found, shape)
    if prediction.downsample != 1:
        found = resample(found, shape, downsample=prediction.downsample)
    return true_labels, found


def read_image(name: str, folder: Path) -> npt.NDArray[np.uint8]:
    """Image (H, W, 3) of a name in a folder; an `EvaluationError` where there is none, or it is no RGB image."""
    suffixes = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
    path = next((one for suffix in suffixes if (one := folder / f"{name}{suffix}").is_file()), None)
    if path is None:
        raise EvaluationError(f"{folder}: no image {name} of {' '.join(suffixes)}")
    image: npt.NDArray[np.uint8] = read_pixels(path)
    if image.ndim != 3 or image.shape[2] not in (3, 4) or image.dtype != np.uint8:
        raise EvaluationError(
            f"{path}: not an 8-bit RGB image: shape {image.shape}, {image.dtype}; is --images a folder of labels?"
        )
    return image[..., :3]

"""Resolution from nuclei: ``python -m benchmarks.resolution --data ../shared/data [--fit]``.

Every image has 0.25 um/px by its data set. ``--fit`` prints the coefficients of `wsipsm.nuclei.resolution`, from the .tif
of MoNuSeg alone; by default the estimate is scored: on all images resampled to 0.2 to 1.0 um/px and of unknown resolution,
and as the check of a run whose resolution is right, or off by two.

Three images are not fitted to: the slides TCGA-HE-7128, 7129 and 7130 were scanned at 20x, as their nuclei of 3 um, and
red cells of 2 um, show.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from tests.helpers.slidegen import read_rgb
from wsipsm.core.errors import FitError
from wsipsm.nuclei import resolution
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.models import SHIPPED_MPP, shipped_model
from wsipsm.nuclei.resolution import NuclearScale, Rung, features, nuclear_scale
from wsipsm.stain.normalise import measure_slide

SETS = ("monuseg", "tnbc", "cryonuseg")
TRUE_MPP = 0.25
TESTED_MPP = (0.2, 0.35, 0.5, 0.7, 1.0)
START_MPP = 0.5
WITHIN = 0.25
SCANNED_AT_20X = "TCGA-HE-71"
RIDGE = 10.0
OCTAVES = np.arange(-2, 3) / 4
"""Offsets that the model is fitted at."""


def images(data: Path) -> Iterator[tuple[str, Path]]:
    for name in SETS:
        for file in sorted((data / name / "images").iterdir()):
            yield name, file


def resampled(image: np.ndarray, mpp: float) -> np.ndarray:
    size = [round(side * TRUE_MPP / mpp) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if mpp > TRUE_MPP else cv2.INTER_CUBIC)


def quarters(image: np.ndarray) -> np.ndarray:
    y, x = (size // 2 for size in image.shape[:2])
    return np.stack([image[:y, :x], image[:y, -x:], image[-y:, :x], image[-y:, -x:]])


def scale_of(patches: np.ndarray, net: resolution.SegmentationNet, mpp: float) -> NuclearScale | None:
    try:
        return nuclear_scale(patches, net, measure_slide(patches), mpp=mpp)
    except FitError:
        return None


def ladder(patches: np.ndarray, net: resolution.SegmentationNet, mpp: float) -> dict[float, Rung | None]:
    """Rungs at every offset, octaves, that the model needs."""
    stats = resolution.strengthened(measure_slide(patches))
    steps = np.arange(-4, 5) / 4
    return {step: resolution.look(patches, net, stats, scale=mpp / net.mpp / 2**step) for step in steps}


def fit(data: Path, net: resolution.SegmentationNet, cache: Path) -> None:
    rows, targets, names = [], [], []
    for name, file in images(data):
        saved = cache / f"{name}__{file.stem}.pkl"
        if not saved.exists():
            image = read_rgb(file)
            found = [ladder(quarters(resampled(image, mpp)), net, mpp) for mpp in (TRUE_MPP, 1.0)]
            saved.write_bytes(pickle.dumps(found))
        if file.suffix != ".tif" or SCANNED_AT_20X in file.stem:
            continue
        for rungs in pickle.loads(saved.read_bytes()):
            for octave in OCTAVES:
                three = [rungs[octave + step] for step in (-0.5, 0, 0.5)]
                if None not in three:
                    rows.append(features(three))
                    targets.append(octave)
                    names.append(file.stem)
    x, y = np.array(rows), np.array(targets)
    mean, spread = x.mean(0), x.std(0)
    z = np.c_[(x - mean) / spread, np.ones(len(x))]
    penalty = np.diag([RIDGE] * x.shape[1] + [0.0])
    solved = np.linalg.solve(z.T @ z + penalty, z.T @ y)
    error = z @ solved - y
    print("_MEAN =", tuple(np.round(mean, 4).tolist()))
    print("_COEFFICIENTS =", tuple(np.round(solved[:-1] / spread, 4).tolist()))
    print("_OFFSET =", round(float(solved[-1]), 4), "rms", np.sqrt((error**2).mean()), np.percentile(error, [0, 10, 50, 90, 100]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path("/work/exp2/rungs"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    net = load_segmenter(shipped_model(), mpp=SHIPPED_MPP, device=torch.device("cpu"))
    args.cache.mkdir(exist_ok=True, parents=True)
    if args.fit:
        fit(args.data, net, args.cache)


if __name__ == "__main__":
    main()

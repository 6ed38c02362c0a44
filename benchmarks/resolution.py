"""Resolution from nuclei: ``python -m benchmarks.resolution --data ../shared/data [--fit]``.

Every image has 0.25 um/px by its data set. ``--fit`` prints the coefficients of `wsipsm.nuclei.resolution`, from
MoNuSeg alone; by default the estimate is scored: on all images resampled to 0.2 to 1.0 um/px and of unknown resolution,
and as the check of a run whose resolution is right, or off by two.

Three images are not fitted to: the slides TCGA-HE-7128, 7129 and 7130 were scanned at 20x, as their nuclei of 3 um, and
red cells of 2 um, show.
"""

from __future__ import annotations

import argparse
import math
import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from tests.helpers.slidegen import read_rgb
from wsipsm.config import Config, load_config
from wsipsm.core.errors import FitError
from wsipsm.engine.slide_resolution import estimate_mpp
from wsipsm.nuclei import resolution
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.models import SHIPPED_MPP, shipped_model
from wsipsm.nuclei.resolution import NuclearScale, Rung, features, nuclear_scale
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.stain.normalise import measure_slide

SETS = ("monuseg", "tnbc", "cryonuseg")
FITTED_SET = "monuseg"
TRUE_MPP = 0.25
TESTED_MPP = (0.2, 0.35, 0.5, 0.7, 1.0)
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


def scale_of(patches: np.ndarray, net: SegmentationNet, mpp: float) -> NuclearScale | None:
    try:
        return nuclear_scale(patches, net, measure_slide(patches), mpp=mpp)
    except FitError:
        return None


def ladder(patches: np.ndarray, net: SegmentationNet, mpp: float) -> dict[float, Rung | None]:
    """Rungs at every offset, octaves, that the model needs; none where there is hardly any tissue."""
    try:
        stats = measure_slide(patches).scaled(resolution.STRENGTH)
    except FitError:
        return {}
    steps = np.arange(-4, 5) / 4
    return {step: resolution.look(patches, net, stats, scale=mpp / net.mpp / 2**step) for step in steps}


def random_patches(image: np.ndarray, config: Config) -> np.ndarray:
    """Patches as a calibration takes them, of an image at the claimed working resolution."""
    side, rng = min(config.encoder.patch_px, *image.shape[:2]), np.random.default_rng(config.encoder.seed)
    corners = rng.integers(0, np.array(image.shape[:2]) - side + 1, size=(config.encoder.patches, 2))
    return np.stack([image[y : y + side, x : x + side] for y, x in corners])


def score_check(data: Path, net: SegmentationNet) -> None:
    """The check of a run at 0.5 um/px whose slide is claimed right, or at twice or half the truth."""
    config, octaves = load_config("he"), (-1, 0, 1)
    found = []
    for name, file in images(data):
        image = read_rgb(file)
        for octave in octaves:
            start = time.process_time()
            scale = scale_of(random_patches(resampled(image, SHIPPED_MPP * 2.0**octave), config), net, SHIPPED_MPP)
            factor = scale.factor if scale else math.nan
            found.append((name, file.stem, octave, factor, time.process_time() - start))
            print("check", *found[-1], flush=True)
    for octave in octaves:
        rows = [row for row in found if row[2] == octave]
        factors = np.array([row[3] for row in rows])
        warned = np.abs(np.log2(factors)) >= np.log2(resolution.WARN_FACTOR)
        seconds = np.median([row[4] for row in rows])
        print(f"true over claimed {2.0**octave:g}: {warned.sum()} of {len(rows)} warned, {seconds:.1f} s CPU each")
        odd = warned if octave == 0 else ~warned
        print("   not as they should:", [(row[1], round(row[3], 2)) for row, bad in zip(rows, odd, strict=True) if bad])


def score_estimate(data: Path, tested: list[float]) -> None:
    """Estimates of images of unknown resolution, as ``wsipsm info --estimate-mpp`` makes them."""
    config, found = load_config("he"), []
    for name, file in images(data):
        for mpp in tested:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "field.png"
                Image.fromarray(resampled(read_rgb(file), mpp)).save(path)
                try:
                    ratio = estimate_mpp(path, config).mpp_l0 / mpp
                except FitError as error:
                    print(f"{file.stem} at {mpp}: {error}")
                    ratio = math.nan
            found.append((name, file.stem, mpp, ratio))
            print("estimate", *found[-1], flush=True)
    groups = {
        f"{name} {mpp:g}": [r for n, _, m, r in found if (n, m) == (name, mpp)] for name in SETS for mpp in tested
    }
    groups |= {name: [r for n, _, _, r in found if n == name] for name in SETS} | {"all": [row[3] for row in found]}
    print("| | median of the ratio | median error | 90 % | largest | within 25 % |\n|---|---|---|---|---|---|")
    for name, ratios in groups.items():
        r = np.array(ratios)
        error = np.abs(r[np.isfinite(r)] - 1)
        quantiles = " | ".join(f"{value:.2f}" for value in np.percentile(error, [50, 90, 100]))
        print(f"| {name} | {np.nanmedian(r):.2f} | {quantiles} | {(np.abs(r - 1) <= WITHIN).sum()} of {len(r)} |")


def fit(data: Path, net: SegmentationNet, cache: Path) -> None:
    rows, targets, names = [], [], []
    for name, file in images(data):
        saved = cache / f"{name}__{file.stem}.pkl"
        if not saved.exists():
            image = read_rgb(file)
            found = [ladder(quarters(resampled(image, mpp)), net, mpp) for mpp in (TRUE_MPP, 1.0)]
            saved.write_bytes(pickle.dumps(found))
        if name != FITTED_SET or SCANNED_AT_20X in file.stem:
            continue
        for rungs in pickle.loads(saved.read_bytes()):
            for octave in OCTAVES:
                three = [rungs.get(octave + step) for step in (-0.5, 0, 0.5)]
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
    print(
        "_OFFSET =",
        round(float(solved[-1]), 4),
        "rms",
        np.sqrt((error**2).mean()),
        np.percentile(error, [0, 10, 50, 90, 100]),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--mpp", type=float, nargs="+", default=TESTED_MPP)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "wsipsm-rungs")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    net = load_segmenter(shipped_model(), mpp=SHIPPED_MPP, device="cpu")
    args.cache.mkdir(exist_ok=True, parents=True)
    if args.fit:
        fit(args.data, net, args.cache)
    else:
        score_check(args.data, net)
        score_estimate(args.data, args.mpp)


if __name__ == "__main__":
    main()

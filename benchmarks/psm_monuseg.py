"""Pseudo masks and their instances on MoNuSeg, beside ten lines of scikit-image.

    python -m benchmarks.psm_monuseg --data ../shared/data/monuseg [--seeds 0 1] [--set pseudomask.clusters=3]

Every image is a slide of its own at 0.25 um/px, worked on at the grid's 0.5 um/px. The encoder is learnt once a seed
from all images without labels; the constants and the clusters are those of each image. The 30 .tif images chose the
parameters, the 7 .png did not. Labels score and do nothing else.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy import ndimage as ndi
from scipy.stats import rankdata
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.io import imread
from skimage.morphology import remove_small_holes, remove_small_objects
from skimage.segmentation import watershed

from wsipsm.cells import instances as labels
from wsipsm.config import Config, load_config
from wsipsm.core.maps import DECISION
from wsipsm.nuclei.activation import ActivationNet
from wsipsm.nuclei.calibrate_psm import calibrate_psm
from wsipsm.nuclei.pretrain import pretrain

COLUMNS = ("AJI", "PQ", "pixel F1", "mask F1", "AUC", "AUC of H")


def baseline(image: np.ndarray) -> np.ndarray:
    h = gaussian(rgb2hed(image)[..., 0], 2)
    mask = remove_small_holes(remove_small_objects(h > threshold_otsu(h), max_size=60), max_size=60)
    distance = gaussian(ndi.distance_transform_edt(mask), 1)
    peaks = peak_local_max(distance, min_distance=7, labels=ndi.label(mask)[0], exclude_border=False)
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=mask)


def score(truth: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """AJI as Kumar et al. define it, PQ, pixel F1."""
    truth, found = (np.unique(a, return_inverse=True)[1].reshape(a.shape) for a in (truth, found))
    n, m = truth.max() + 1, found.max() + 1
    table = np.bincount((truth * m + found).ravel(), minlength=n * m).reshape(n, m)
    sizes, areas, overlap = table.sum(1)[1:], table.sum(0)[1:], table[1:, 1:]
    union = sizes[:, None] + areas[None] - overlap
    rows, best = np.arange(n - 1), (overlap / union).argmax(1)
    hit = overlap[rows, best] > 0
    unused = np.setdiff1d(np.arange(m - 1), best[hit])
    whole = np.where(hit, union[rows, best], sizes).sum() + areas[unused].sum()
    iou = overlap / union
    matched = iou > 0.5
    f1 = 2 * overlap.sum() / (sizes.sum() + areas.sum())
    return overlap[rows, best].sum() / whole, iou[matched].sum() / (0.5 * (n + m - 2)), f1


def auc(truth: np.ndarray, values: np.ndarray) -> float:
    ranks, positives = rankdata(values.ravel())[truth.ravel()], int(truth.sum())
    return (ranks.sum() - positives * (positives + 1) / 2) / (positives * (truth.size - positives))


def halved(image: np.ndarray) -> np.ndarray:
    y, x = image.shape[:2]
    return image.reshape(y // 2, 2, x // 2, 2, 3).mean((1, 3)).round().astype(np.uint8)


def patches_of(image: np.ndarray, config: Config, number: int = 0) -> np.ndarray:
    rng, side = np.random.default_rng((config.encoder.seed, number)), config.encoder.patch_px
    corners = rng.integers(0, np.array(image.shape[:2]) - side + 1, size=(config.encoder.patches, 2))
    return np.stack([image[y : y + side, x : x + side] for y, x in corners])


def score_image(image: np.ndarray, truth: np.ndarray, config: Config, net: ActivationNet | None) -> tuple[float, ...]:
    grid_truth = truth[::2, ::2] > 0
    recognizer = calibrate_psm(patches_of(image, config), config, encoder=net, device="cpu")
    padded = np.pad(image, [(recognizer.halo_px,) * 2] * 2 + [(0, 0)], constant_values=255)
    activation, evidence, hematoxylin, _ = recognizer.block(padded)
    around = labels.halo_px(config.instance_rules, 0.5)
    window = np.pad(evidence, around)
    found = labels.instances(window, window >= DECISION, mpp=0.5, config=config.instance_rules)
    found = found[around:-around, around:-around].repeat(2, 0).repeat(2, 1)
    mask = evidence >= DECISION
    f1 = 2 * (mask & grid_truth).sum() / (mask.sum() + grid_truth.sum())
    smooth = cv2.GaussianBlur(hematoxylin.view(np.int8).astype(np.float32), (0, 0), 1.5)
    return *score(truth, found), f1, auc(grid_truth, activation), auc(grid_truth, smooth)


def report(name: str, rows: list[tuple[float, ...]], tif: np.ndarray) -> None:
    table = np.array(rows)
    for part, which in (("30 .tif", tif), ("7 .png", ~tif), ("all 37", tif | True)):
        numbers = "  ".join(f"{c} {v:.4f}" for c, v in zip(COLUMNS, table[which].mean(0), strict=False))
        print(f"{name:24} {part:8} {numbers}")
    low = "  ".join(f"{c} {v:.4f}" for c, v in zip(COLUMNS, table.min(0), strict=False))
    print(f"{name:24} {'minimum':8} {low}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--own-encoder", action="store_true", help="learn an encoder on each image alone")
    parser.add_argument("--no-baseline", action="store_true")
    args = parser.parse_args()
    files = sorted((args.data / "images").iterdir())
    images = [imread(file)[..., :3] for file in files]
    truths = [imread(args.data / "labels" / f"{file.stem}.png").astype(np.int64) for file in files]
    tif = np.array([file.suffix == ".tif" for file in files])
    torch.set_num_threads(2)
    cv2.setNumThreads(1)
    if not args.no_baseline:
        report("Otsu and watershed", [score(t, baseline(i)) for i, t in zip(images, truths, strict=True)], tif)
    small = [halved(image) for image in images]
    for seed in args.seeds:
        overrides = (f"encoder.seed={seed}", *args.set)
        config = load_config("he", overrides)
        start, net = time.perf_counter(), None
        if not args.own_encoder:
            cohort = [patches_of(s, config, i)[:24] for i, s in enumerate(small) if tif[i]]
            net = pretrain(cohort, config.encoder, device="cpu")
            print(f"seed {seed}: learnt in {time.perf_counter() - start:.0f} s", net.provenance["final_loss"])
        rows = [score_image(s, t, config, net) for s, t in zip(small, truths, strict=True)]
        report(f"wsipsm, seed {seed}", rows, tif)


if __name__ == "__main__":
    main()

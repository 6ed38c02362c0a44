"""Where the time of the labels goes: ``python -m benchmarks.labels_speed [side in pixels]``, one thread."""

from __future__ import annotations

import cProfile
import pstats
import sys
import time

import cv2
import numpy as np

from wsipsm.cells.instances import halo_px, instances
from wsipsm.config import LabelsConfig

MPP = 0.5
REPEATS = 5
PARTS = ("instances", "_sharpen", "_to_levels", "_fill_holes", "_choose", "grow", "renumber")
INNER = ("component_tree", "link", "number_nodes", "sums", "nucleus_score", "topmost")


def main(side: int) -> None:
    cv2.setNumThreads(1)
    config = LabelsConfig()
    print(f"{side} x {side} px, halo {halo_px(config, MPP)} px at {MPP} um/px, best of {REPEATS}")
    for name, evidence in {"blobs": _blobs(side, 5.0, 0.5), "noise": _blobs(side, 1.0, 0.0)}.items():
        seconds = min(_time(evidence, config) for _ in range(REPEATS))
        count = instances(evidence, evidence >= 128, mpp=MPP, config=config).max()
        print(f"\n{name}: {count} instances, {seconds / side**2 * 1e6:.3f} s per megapixel")
        _profile(evidence, config)


def _blobs(side: int, sigma: float, density: float) -> np.ndarray:
    """Smoothed noise; ``density`` is how far background lies below the border of the mask, in deviations."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((side, side)), (0, 0), sigma)
    return np.clip(128 + 60 * (noise / noise.std() - density), 0, 255).astype(np.uint8)


def _time(evidence: np.ndarray, config: LabelsConfig) -> float:
    start = time.perf_counter()
    instances(evidence, evidence >= 128, mpp=MPP, config=config)
    return time.perf_counter() - start


def _profile(evidence: np.ndarray, config: LabelsConfig) -> None:
    with cProfile.Profile() as profile:
        instances(evidence, evidence >= 128, mpp=MPP, config=config)
    seconds: dict[str, float] = {}
    for (_, _, function), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        seconds[function] = max(seconds.get(function, 0.0), cumulative)
    for name in PARTS + INNER:
        indent = "    " if name in INNER else "  " * (name != "instances")
        print(f"{indent}{name:<20} {seconds.get(name, 0.0) * 1e3:7.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1200)

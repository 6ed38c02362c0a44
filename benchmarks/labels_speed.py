"""Where the time after the network goes: ``python -m benchmarks.labels_speed [side in pixels]``, CPU time, one thread.

Labels and cells of one window of smoothed noise, as a worker finds them.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np

from wsipsm.cells.instances import halo_px, instances
from wsipsm.cells.measure import measure_cells
from wsipsm.config import Config
from wsipsm.core.geometry import Box, Grid
from wsipsm.engine.cluster.plugin import settle_worker

MPP = 0.5
REPEATS = 5
CONFIG = Config()
LABELS = ("instances", "_sharpen", "_to_levels", "_fill_holes", "component_tree", "  link", "  number_nodes", "_choose")
LABELS += ("grow", "renumber")
CELLS = ("measure_cells", "largest_components", "trace", "smooth", "to_legal", "_densities", "confidences")
CELLS += ("  mean_around", "shape_columns")


def main(side: int) -> None:
    settle_worker()
    rules = CONFIG.instance_rules
    print(f"{side} x {side} px, halo {halo_px(rules, MPP)} px at {MPP} um/px, best of {REPEATS}")
    for name, evidence in {"blobs": _blobs(side, 5.0, 0.5), "noise": _blobs(side, 1.0, 0.0)}.items():
        labels = _labels(evidence)
        print(f"\n{name}: {labels.max()} instances")
        _report(lambda evidence=evidence: _labels(evidence), LABELS)  # type: ignore[misc]
        _report(lambda evidence=evidence, labels=labels: _measure(labels, evidence), CELLS)  # type: ignore[misc]


def _blobs(side: int, sigma: float, density: float) -> np.ndarray:
    """Smoothed noise; ``density`` is how far background lies below the border of the mask, in deviations."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).standard_normal((side, side)), (0, 0), sigma)
    return np.clip(128 + 60 * (noise / noise.std() - density), 0, 255).astype(np.uint8)


def _labels(evidence: np.ndarray) -> np.ndarray:
    return instances(evidence, evidence >= 128, mpp=MPP, config=CONFIG.instance_rules)


def _measure(labels: np.ndarray, evidence: np.ndarray) -> None:
    maps = dict.fromkeys(("activation", "nuclear_stain", "counterstain", "evidence"), evidence)
    height, width = labels.shape
    keep = np.ones(labels.max(), bool)
    measure_cells(
        labels, maps, window=Box(0, 0, width, height), grid=Grid(width, height, 1.0, MPP), keep=keep, config=CONFIG
    )


def _report(work: Callable[[], object], parts: tuple[str, ...]) -> None:
    """Milliseconds of the whole, and of its parts as the profiler, which is slower, finds them."""
    seconds = min(_time(work) for _ in range(REPEATS))
    print(f"{parts[0]:<24} {seconds * 1e3:7.1f} ms")
    with cProfile.Profile(time.process_time) as profile:
        work()
    found: dict[str, float] = {}
    for (_, _, function), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        found[function] = max(found.get(function, 0.0), cumulative)
    for name in parts[1:]:
        print(f"  {name:<22} {found.get(name.strip(), 0.0) * 1e3:7.1f} ms")


def _time(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1200)

"""The ladder of accuracy on MoNuSeg, one command: ``python -m benchmarks.accuracy --data ../shared/data/monuseg``.

Labels score and do nothing else. Choices are made on the 30 .tif images; the 7 .png are reported as they come. Parts:

``maps``        each seed's activation map: pixel AUC, frozen and per image, beside haematoxylin density
``teacher``     pseudo labels with and without the map, other features and rules
``ladder``      baseline, pseudo labels, every round of a training, and the shipped checkpoint
``robustness``  the shipped checkpoint on images that were restained, blurred, compressed, brightened, resampled
``run``         the shipped checkpoint through ``wsipsm run`` and ``wsipsm evaluate``
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image as PillowImage
from skimage.io import imread

from benchmarks.gradcam import gradcam_map
from benchmarks.psm_monuseg import auc, baseline, halved, patches_of
from tests.helpers.slidegen import read_rgb, write_slide
from wsipsm.cells import instances as labels
from wsipsm.config import Config, load_config
from wsipsm.core.maps import DECISION
from wsipsm.evaluation import Scores, score_labels
from wsipsm.nuclei.activation import ActivationNet, input_planes
from wsipsm.nuclei.calibrate import calibrate_segmenter
from wsipsm.nuclei.calibrate_psm import calibrate_psm
from wsipsm.nuclei.models import shipped_model
from wsipsm.nuclei.pretrain import pretrain
from wsipsm.nuclei.recognizer import Recognizer
from wsipsm.stain.normalise import measure_slide
from wsipsm.stain.optics import optical_density, unmix

CPU = "cpu"
WSIPSM = str(Path(sys.executable).with_name("wsipsm"))
MPP_L0 = 0.25


@dataclass(frozen=True)
class Data:
    """Images at 0.25 um/px with their labels; ``tif`` tells the 30 from the 7."""

    names: list[str]
    images: list[np.ndarray]
    truths: list[np.ndarray]
    tif: np.ndarray

    @classmethod
    def load(cls, folder: Path) -> Data:
        """Read the folder of the data README."""
        files = sorted((folder / "images").iterdir())
        truths = [imread(folder / "labels" / f"{file.stem}.png").astype(np.int64) for file in files]
        images = [read_rgb(file) for file in files]
        return cls([file.stem for file in files], images, truths, np.array([file.suffix == ".tif" for file in files]))


def say(name: str, data: Data, scores: list[Scores], seconds: float = 0.0) -> np.ndarray:
    """One row of the table; returns AJI of every image."""
    table = np.array([(s.aji, s.pq, s.pixel_dice, s.f1) for s in scores])
    means = [table[which].mean(axis=0) for which in (data.tif, ~data.tif, data.tif | True)]
    cells = [" / ".join(f"{v:.3f}" for v in mean) for mean in means]
    print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} s |", flush=True)
    return table[:, 0]


def head(title: str) -> None:
    print(
        f"\n### {title}\n\n| | 30 .tif: AJI / PQ / pixel F1 / F1@0.5 | 7 .png | all 37 | time |\n|---|---|---|---|---|",
        flush=True,
    )


def instances_of(image: np.ndarray, recognizer: Recognizer, config: Config) -> np.ndarray:
    """Instances of an image at the working resolution, its mirror image around it."""
    halo = recognizer.halo_px
    sides = [(halo, halo + (-size) % 8) for size in image.shape[:2]]
    maps = recognizer.block(np.pad(image, [*sides, (0, 0)], mode="reflect"))
    evidence = maps[1][: image.shape[0], : image.shape[1]]
    around = labels.halo_px(config.instance_rules, config.grid.mpp)
    window = np.pad(evidence, around)
    found = labels.instances(window, window >= DECISION, mpp=config.grid.mpp, config=config.instance_rules)
    return found[around:-around, around:-around]


def enlarged(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Labels at the resolution of the truth, nearest neighbour at pixel centres."""
    index = [((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(truth.shape, found.shape, strict=True)]
    return found[np.ix_(*index)]


def score_segmenter(images: Iterable[np.ndarray], data: Data, model: Path, config: Config) -> list[Scores]:
    scores = []
    for image, truth in zip(images, data.truths, strict=True):
        recognizer = calibrate_segmenter(patches_of(image, config), config, model=model, device=CPU)
        scores.append(score_labels(truth, enlarged(instances_of(image, recognizer, config), truth)))
    return scores


def score_psm(data: Data, net: ActivationNet, config: Config) -> list[Scores]:
    scores = []
    for image, truth in zip(map(halved, data.images), data.truths, strict=True):
        recognizer = calibrate_psm(patches_of(image, config), config, encoder=net, device=CPU)
        scores.append(score_labels(truth, enlarged(instances_of(image, recognizer, config), truth)))
    return scores


def encoder(data: Data, config: Config) -> ActivationNet:
    """Encoder learnt on the 30 images."""
    small = [halved(image) for image in data.images]
    cohort = [patches_of(image, config, i)[:24] for i, image in enumerate(small) if data.tif[i]]
    return pretrain(cohort, config.encoder, stain=config.recognizer.stain, device=CPU)


def maps(data: Data, seeds: list[int]) -> None:
    """Pixel AUC of the activation map."""
    print("\n### Activation maps: pixel AUC against annotated nuclei, all 37\n", flush=True)
    print("| map | mean | least | images with the wrong sign |\n|---|---|---|---|")
    small, truths = [halved(image) for image in data.images], [truth[::2, ::2] > 0 for truth in data.truths]

    def row(name: str, planes: Iterable[np.ndarray]) -> None:
        values = np.array([auc(truth, plane) for truth, plane in zip(truths, planes, strict=True)])
        print(f"| {name} | {values.mean():.4f} | {values.min():.3f} | {(values < 0.5).sum()} |", flush=True)

    densities = [cv2.GaussianBlur(unmix(optical_density(image))[0], (0, 0), 1.5) for image in small]
    row("haematoxylin density, sigma 1.5", densities)
    for seed in seeds:
        config = load_config("he", ("recognizer.method=psm", f"encoder.seed={seed}"))
        net = encoder(data, config)
        halo, stats = net.halo_px, [measure_slide(patches_of(image, config)) for image in small]
        padded = [np.pad(image, [(halo, halo), (halo, halo), (0, 0)], mode="reflect") for image in small]
        frozen = [net.maps(image, s) for image, s in zip(padded, stats, strict=True)]
        row(f"frozen, seed {seed}", frozen)
        row(f"frozen + density, seed {seed}", [_z(a) + _z(b) for a, b in zip(frozen, densities, strict=True)])
        planes = [torch.from_numpy(input_planes(image, s)) for image, s in zip(padded, stats, strict=True)]
        cut = [
            plane[
                :,
                : plane.shape[1] - (plane.shape[1] - 2 * halo) % 16,
                : plane.shape[2] - (plane.shape[2] - 2 * halo) % 16,
            ]
            for plane in planes
        ]
        values = [gradcam_map(net.network, plane).numpy() for plane in cut]
        row(
            f"per image, ReLU (the paper's form), seed {seed}",
            [_fit_to(v, t) for v, t in zip(values, truths, strict=True)],
        )


def _z(plane: np.ndarray) -> np.ndarray:
    return (plane - plane.mean()) / plane.std()


def _fit_to(plane: np.ndarray, like: np.ndarray) -> np.ndarray:
    return np.pad(plane, [(0, n - m) for n, m in zip(like.shape, plane.shape, strict=True)], mode="edge")


def teacher(data: Data, seeds: list[int]) -> None:
    """Pseudo labels under other settings."""
    head("Pseudo labels of the direct path (encoder learnt on the 30, clusters per image)")
    variants = {
        "default: density and map": (),
        "without the map": ("pseudomask.activation_weight=0",),
        "map alone counts twice": ("pseudomask.activation_weight=2",),
        "with eosin": ("pseudomask.eosin_weight=0.4",),
        "three clusters": ("pseudomask.clusters=3",),
        "without surroundings": ("pseudomask.contrast=0",),
        "cells told apart by depth": ("pseudolabels.split=h_maxima",),
    }
    for seed in seeds:
        net = encoder(data, load_config("he", (f"encoder.seed={seed}",)))
        for name, settings in variants.items():
            if seed != seeds[0] and name not in ("default: density and map", "without the map"):
                continue
            start = time.perf_counter()
            config = load_config("he", ("recognizer.method=psm", f"encoder.seed={seed}", *settings))
            say(f"{name}, seed {seed}", data, score_psm(data, net, config), time.perf_counter() - start)


def ladder(data: Data, trainings: list[Path]) -> None:
    """Baseline, rounds of trainings, the shipped checkpoint."""
    head("Ladder")
    start = time.perf_counter()
    found = [score_labels(t, baseline(i)) for i, t in zip(data.images, data.truths, strict=True)]
    say("Otsu on haematoxylin and watershed, 0.25 um/px", data, found, time.perf_counter() - start)
    config, small = load_config("he"), [halved(image) for image in data.images]
    for folder in trainings:
        for file in sorted(folder.glob("round-*.safetensors")):
            start = time.perf_counter()
            say(
                f"{folder.name}, {file.stem}",
                data,
                score_segmenter(small, data, file, config),
                time.perf_counter() - start,
            )
    start = time.perf_counter()
    say("shipped checkpoint", data, score_segmenter(small, data, shipped_model(), config), time.perf_counter() - start)


def _restained(strength: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: np.clip(256 * 10 ** (-optical_density(image) * strength) - 1, 0, 255).round().astype(np.uint8)


def _compressed(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    PillowImage.fromarray(image).save(buffer, "JPEG", quality=50)
    return np.asarray(PillowImage.open(buffer))


def _scaled(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: np.clip(image * factor, 0, 255).round().astype(np.uint8)


def _resampled(mpp: float) -> Callable[[np.ndarray], np.ndarray]:
    """Down to a resolution and, where that is finer than the network's, on to the network's."""

    def change(image: np.ndarray) -> np.ndarray:
        side = round(image.shape[0] * MPP_L0 / mpp)
        return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)

    return change


DAMAGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda image: image,
    "stain x 0.4": _restained(0.4),
    "stain x 0.6": _restained(0.6),
    "stain x 1.5": _restained(1.5),
    "stain x 2": _restained(2),
    "blur, sigma 1": lambda image: cv2.GaussianBlur(image, (0, 0), 1),
    "JPEG, quality 50": _compressed,
    "brightness + 15 %": _scaled(1.15),
    "brightness - 15 %": _scaled(0.85),
    "scanned at 0.35 um/px": _resampled(0.35),
    "scanned at 0.5 um/px": _resampled(0.5),
}


def robustness(data: Data, model: Path) -> None:
    """The same images, damaged; the drop of the mean AJI over all 37."""
    head("Robustness")
    config, whole = load_config("he"), None
    for name, damage in DAMAGES.items():
        start = time.perf_counter()
        images = [_to_grid(damage(image)) for image in data.images]
        mean = say(name, data, score_segmenter(images, data, model, config), time.perf_counter() - start).mean()
        whole = mean if whole is None else whole
        print(f"<!-- {name}: AJI {mean:.4f}, drop {whole - mean:+.4f} -->", flush=True)


def _to_grid(image: np.ndarray) -> np.ndarray:
    """Image of a 250 um field at 0.5 um/px."""
    if image.shape[0] == 1000:
        return halved(image)
    return cv2.resize(image, (500, 500), interpolation=cv2.INTER_AREA)


def run(data: Data, folder: Path) -> None:
    """The shipped checkpoint as a user would run and score it."""
    (folder / "slides").mkdir(parents=True, exist_ok=True)
    (folder / "truth").mkdir(exist_ok=True)
    for name, image, truth in zip(data.names, data.images, data.truths, strict=True):
        write_slide(folder / "slides" / f"{name}.tiff", image, mpp=MPP_L0)
        PillowImage.fromarray(truth.astype(np.uint16)).save(folder / "truth" / f"{name}.png")
    start = time.perf_counter()
    subprocess.run([WSIPSM, "run", str(folder / "slides"), "-o", str(folder / "out"), "--fresh"], check=True)
    seconds = time.perf_counter() - start
    report = folder / "report.json"
    subprocess.run([WSIPSM, "evaluate", str(folder / "out"), str(folder / "truth"), "-o", str(report)], check=True)
    found = {row["name"]: row["scores"] for row in json.loads(report.read_text())["images"]}
    for part, which in (("30 .tif", data.tif), ("7 .png", ~data.tif), ("all 37", data.tif | True)):
        rows = [found[name] for name, wanted in zip(data.names, which, strict=True) if wanted]
        means = {key: np.mean([row[key] for row in rows]) for key in ("aji", "pq", "pixel_dice", "f1")}
        print(f"run + evaluate, {part}: " + "  ".join(f"{key} {value:.4f}" for key, value in means.items()))
    print(f"wsipsm run of {len(data.names)} slides: {seconds:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--parts", nargs="+", default=["maps", "teacher", "ladder", "robustness", "run"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--training", type=Path, nargs="*", default=[], help="folders of wsipsm train")
    parser.add_argument("--model", type=Path, help="checkpoint in place of the shipped one, for robustness")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data = Data.load(options.data)
    if "maps" in options.parts:
        maps(data, options.seeds)
    if "teacher" in options.parts:
        teacher(data, options.seeds)
    if "ladder" in options.parts:
        ladder(data, options.training)
    if "robustness" in options.parts:
        robustness(data, options.model or shipped_model())
    if "run" in options.parts:
        run(data, Path(tempfile.mkdtemp()))


if __name__ == "__main__":
    main()

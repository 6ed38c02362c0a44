"""Ki-67 without a label, through the product: ``python -m benchmarks.ihc --data ../shared/data``.

Parts: ``table`` scores ``wsipsm run --config ihc`` and what stands beside it as ``wsipsm evaluate`` does; ``anchors``
paints the positive cells out of each image, then everything else; ``robustness`` restains and relights the images and
follows the percentage of positive cells; ``evidence`` asks what tells right candidates from wrong ones, the activation
map too; ``colours`` counts the fields that look like another stain than expected. Labels score and do nothing else.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from scipy.stats import rankdata
from skimage.color import rgb2hed
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label, regionprops

import wsipsm
from tests.helpers.slidegen import read_rgb
from wsipsm.config import load_config
from wsipsm.core.stains import Stain
from wsipsm.evaluation.matching import match
from wsipsm.evaluation.point_sources import true_sources
from wsipsm.evaluation.points import Kind
from wsipsm.nuclei.pretrain import pretrain
from wsipsm.slide import open_slide
from wsipsm.stain.doubts import unexpected_stain
from wsipsm.stain.normalise import SlideStats, colour_density, measure_slide, stain_density
from wsipsm.stain.optics import optical_density, smooth
from wsipsm.stain.registry import HDAB_VECTORS
from wsipsm.training.pseudo_labels import hue_labels

MPP, RADIUS_UM = 0.25, 6.0
HAZE_OD, POSITIVE_OD = 0.1, 0.5
"""Chromogen from which on there is some, and from which on there is a positive cell."""
PARTS = ("table", "anchors", "robustness", "evidence", "colours")
WAYS = ("--config he", "--config ihc", "classes.compartment=ring", "recognizer.stain_vectors")
Change = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--checkpoint", type=Path, help="segmenter instead of the shipped one")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--keep", type=Path, help="folder that keeps the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for part in options.parts:
            print(f"\n### {part}\n", flush=True)
            globals()[part](options.data, folder / part, options.checkpoint)


def run(images: Path, out: Path, *settings: str, config: str = "ihc", checkpoint: Path | None = None) -> Path:
    wsipsm.run(images, out, config=config, settings=settings, slide_mpp=MPP, checkpoint=checkpoint)
    return out


def table(data: Path, out: Path, checkpoint: Path | None) -> None:
    """F1 of positive, negative, their mean, and detection, at three radii; count errors; error of the index."""
    print("| | radius | positive | negative | mean | detection | P / R | MP / MN / MA | index error (bias) |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    for name, truth in (("bcdata", data / "bcdata"), ("shidc_ki67", data / "shidc_ki67" / "annotations")):
        images = data / name / "images"
        row(f"{name}: crude blobs of DAB and haematoxylin", blobs(images, out / f"{name}.csv"), truth)
        row(f"{name}: he", run(images, out / f"{name}-he", config="he"), truth)
        unknown = run(images, out / f"{name}-unknown", "recognizer.stain=unknown", config="he")
        row(f"{name}: recognizer.stain=unknown", unknown, truth)
        row(f"**{name}: ihc**", run(images, out / f"{name}-ihc", checkpoint=checkpoint), truth)


def row(name: str, found: Path, truth: Path) -> None:
    report = wsipsm.evaluate(found, truth, truth_mpp=MPP)
    errors = " / ".join(shown(report["count_error"][kind], 1) for kind in ("positive", "negative", "all"))
    index = report["index"]
    for number, one in enumerate(report["pooled"]):
        scores = one["scores"]
        f1 = " | ".join(shown(scores[kind]["f1"], 3) for kind in ("positive", "negative", "mean", "detection"))
        both = " / ".join(shown(scores["detection"][kind], 2) for kind in ("precision", "recall"))
        rest = f"{errors} | {shown(index['mean_absolute_error'], 1)} ({shown(index['bias'], 1)})" if not number else "|"
        print(f"| {name if not number else ''} | {one['radius_um']:g} um | {f1} | {both} | {rest} |", flush=True)


def shown(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def blobs(images: Path, file: Path) -> Path:
    """Otsu on the smoothed stains of scikit-image; blobs of at least 20 um2."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "x", "y", "class"])
        for path in sorted(images.iterdir()):
            stains = rgb2hed(read_rgb(path))
            brown = gaussian(stains[..., 2], 3) > threshold_otsu(gaussian(stains[..., 2], 3))
            blue = gaussian(stains[..., 0], 3) > threshold_otsu(gaussian(stains[..., 0], 3))
            for name, mask in (("Positive", brown), ("Negative", blue & ~brown)):
                for blob in regionprops(label(mask)):
                    if blob.area * MPP**2 >= 20:
                        writer.writerow([path.stem, blob.centroid[1], blob.centroid[0], name])
    return file


def anchors(data: Path, out: Path, checkpoint: Path | None) -> None:
    """Percentage of positive cells where none, or nothing else, is left in the image."""
    print("| | positive | counted | percent |\n|---|---|---|---|", flush=True)
    for name, change in (("as they are", same), ("positive cells painted out", no_brown), ("all else", only_brown)):
        positive, counted = counts(changed(data / "bcdata" / "images", out / name, change), checkpoint)
        total = sum(counted), sum(positive)
        print(f"| {name} | {total[1]} | {total[0]} | {100 * total[1] / total[0]:.1f} |", flush=True)


def same(image: np.ndarray) -> np.ndarray:
    return image


def no_brown(image: np.ndarray) -> np.ndarray:
    return painted(image, places_with(image, HAZE_OD, rim_px=2))


def only_brown(image: np.ndarray) -> np.ndarray:
    return painted(image, ~places_with(image, POSITIVE_OD, rim_px=4))


def places_with(image: np.ndarray, chromogen_od: float, *, rim_px: int) -> np.ndarray:
    """Places with more chromogen than that, and a rim."""
    stats = measure_slide(image[None], "ihc")
    chromogen = smooth(np.ascontiguousarray(stain_density(image, stats)[1]), 2.0)
    return cv2.dilate((chromogen > chromogen_od).astype(np.uint8), np.ones((2 * rim_px + 1,) * 2, np.uint8)) > 0


def painted(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Image with the colour of unstained tissue, and the noise of the camera, in places."""
    stats = measure_slide(image[None], "ihc")
    rng = np.random.default_rng(0)
    plain = 256 * 10.0 ** -(np.array(stats.background) + rng.normal(0, 0.01, image.shape)) - 1
    soft = gaussian(places.astype(float), 1.5)[..., None]
    return np.clip(image * (1 - soft) + plain * soft, 0, 255).round().astype(np.uint8)


def changed(images: Path, out: Path, change: Change) -> Path:
    """Folder of the images after a change."""
    (folder := out / "images").mkdir(parents=True, exist_ok=True)
    for path in sorted(images.iterdir()):
        Image.fromarray(change(read_rgb(path))).save(folder / f"{path.stem}.png")
    return folder


def counts(images: Path, checkpoint: Path | None) -> tuple[list[int], list[int]]:
    """Positive and all cells of each image."""
    run(images, images.parent / "out", checkpoint=checkpoint)
    tables = [
        wsipsm.open_result(images.parent / "out" / path.stem).record["counts"]["by_class"]
        for path in sorted(images.iterdir())
    ]
    return [t.get("Positive", 0) for t in tables], [sum(t.values()) for t in tables]


def restained(nuclear: float, chromogen: float) -> Change:
    """Stains above the background times a factor each."""

    def change(image: np.ndarray) -> np.ndarray:
        stats: SlideStats = measure_slide(image[None], "ihc")
        background, vectors = np.array(stats.background), np.array(HDAB_VECTORS)
        amounts = (optical_density(image) - background) @ np.linalg.inv(vectors)
        density = background + (amounts * [nuclear, chromogen, 1]) @ vectors
        return np.clip(256 * 10.0**-density - 1, 0, 255).round().astype(np.uint8)

    return change


def relit(factor: float) -> Change:
    return lambda image: np.clip(image * factor, 0, 255).round().astype(np.uint8)


CHANGES: dict[str, Change] = {
    "as they are": same,
    "all stain x 0.6": restained(0.6, 0.6),
    "all stain x 0.8": restained(0.8, 0.8),
    "all stain x 1.2": restained(1.2, 1.2),
    "all stain x 1.5": restained(1.5, 1.5),
    "DAB x 0.6": restained(1, 0.6),
    "DAB x 1.5": restained(1, 1.5),
    "haematoxylin x 0.6": restained(0.6, 1),
    "haematoxylin x 1.5": restained(1.5, 1),
    "light - 15 %": relit(0.85),
    "light + 15 %": relit(1.15),
}


def robustness(data: Path, out: Path, checkpoint: Path | None) -> None:
    """How far the percentage of positive cells of an image moves, points; mean over images, and of all cells."""
    print("| | cells | percent of all | moved by, of all | mean over images |\n|---|---|---|---|---|", flush=True)
    first: np.ndarray | None = None
    for name, change in CHANGES.items():
        positive, counted = map(np.array, counts(changed(data / "bcdata" / "images", out / name, change), checkpoint))
        percent, pooled = 100 * positive / counted, 100 * positive.sum() / counted.sum()
        if first is None:
            first, whole = percent, pooled
        away = np.abs(percent - first).mean()
        print(f"| {name} | {counted.sum()} | {pooled:.1f} | {pooled - whole:+.1f} | {away:.1f} |", flush=True)


def evidence(data: Path, out: Path, checkpoint: Path | None) -> None:
    """Area under the ROC curve for being right of a candidate's measures, without any learning but the map's."""
    config = load_config("ihc")
    fields = {path.stem: field(path) for path in sorted((data / "bcdata" / "images").iterdir())}
    patches = [np.stack([image[:256, :256], image[-256:, -256:]]) for image in fields.values()]
    torch.set_num_threads(1)
    net = pretrain(patches, config.encoder, stain="ihc", device="cpu")
    truths = true_sources(data / "bcdata")
    rows, right = [], []
    for name, image in fields.items():
        stats = measure_slide(image[None], "ihc")
        found = hue_labels(image, stats, config)
        around = np.pad(image, [(net.halo_px, net.halo_px)] * 2 + [(0, 0)], mode="reflect")
        planes = {
            "activation map": net.maps(around, stats),
            "density": colour_density(image, stats)[..., 0],
            "probability": found.probability,
        }
        ids = np.arange(1, found.labels.max() + 1)
        centres = (np.array(ndimage.center_of_mass(found.labels > 0, found.labels, ids))[:, ::-1] + 0.5) * 2
        true = truths[name].read().of(Kind.POSITIVE, Kind.NEGATIVE)
        right.append(np.isin(ids - 1, match(true, centres, RADIUS_UM / MPP)[1]))
        means = {key: ndimage.mean(plane, found.labels, ids) for key, plane in planes.items()}
        rows.append(means | {"area": ndimage.sum(np.ones_like(found.labels), found.labels, ids)})
    print(f"{sum(map(len, right))} candidates, {np.concatenate(right).mean():.0%} right\n")
    print("| measure of a candidate | AUC |\n|---|---|")
    for key in rows[0]:
        print(f"| {key} | {auc(np.concatenate(right), np.concatenate([one[key] for one in rows])):.3f} |", flush=True)


def colours(data: Path, out: Path, checkpoint: Path | None) -> None:
    """Fields of which each configuration says that they are stained otherwise, and what it says to do."""
    print("| | fields | with --config ihc | with --config he |\n|---|---|---|---|", flush=True)
    for name in ("monuseg", "tnbc", "cryonuseg", "bcdata", "shidc_ki67"):
        said: dict[Stain, Counter[str]] = {"ihc": Counter(), "he": Counter()}
        paths = sorted((data / name / "images").iterdir())
        for path in paths:
            image = field(path)
            corners = [(y, x) for y in range(0, len(image) - 127, 64) for x in range(0, image.shape[1] - 127, 64)]
            patches = np.stack([image[y : y + 128, x : x + 128] for y, x in corners])
            for stain, ways in said.items():
                text = unexpected_stain(measure_slide(patches, stain), stain)
                ways.update([way for way in WAYS if way in text][:1])
        listed = [", ".join(f"{count} {way}" for way, count in ways.items()) or "none" for ways in said.values()]
        print(f"| {name} | {len(paths)} | {listed[0]} | {listed[1]} |", flush=True)


def field(path: Path) -> np.ndarray:
    with open_slide(path, mpp=MPP) as slide:
        grid = slide.grid(0.5)
        return slide.read(grid.box, grid)


def auc(right: np.ndarray, score: Iterable[float]) -> float:
    ranks: Any = rankdata(np.asarray(score))
    positives = right.sum()
    return float((ranks[right].sum() - positives * (positives + 1) / 2) / (positives * (len(right) - positives)))


if __name__ == "__main__":
    main()

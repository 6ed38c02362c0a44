"""Fields that nobody picked, through the product: ``python -m benchmarks.fields --data ../shared/data``.

Every labelled H&E field goes through ``wsipsm run`` with shipped models and is scored as ``wsipsm evaluate`` does; so
is each cut to its middle of 256 px, and the CMU slide, whose places without nuclei and marked nuclei are counted. Ten
lines of scikit-image stand in the same table. The label image has the pixels of the working resolution, the outlines
are what GeoJSON has and QuPath shows; ``wsipsm evaluate`` and ``wsipsm evaluate --outlines`` score them. AUC and
fifths: confidence against sharing more than half of the union with a true nucleus, over all cells, refused ones too.
Labels score and do nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import shapely
from scipy.stats import rankdata
from skimage.io import imread, imsave

from benchmarks.psm_monuseg import baseline
from tests.helpers.slidegen import read_rgb
from wsipsm.evaluation import score_labels
from wsipsm.evaluation.rasterise import Outlines, rasterise
from wsipsm.results.result import Result

WSIPSM = [sys.executable, "-c", "from wsipsm.cli.main import main; main()"]
SETS = ("tnbc", "cryonuseg", "monuseg")
MPP = ["--slide-mpp", "0.25"]
CUTS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
BINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="passed on to wsipsm run")
    parser.add_argument("--checkpoint", type=Path, help="segmenter instead of the shipped one")
    parser.add_argument("--keep", type=Path, help="folder that keeps the results")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    options = parser.parse_args()
    extra = [word for setting in options.set for word in ("--set", setting)]
    extra += ["--checkpoint", str(options.checkpoint)] if options.checkpoint else []
    with tempfile.TemporaryDirectory() as name:
        folder = options.keep or Path(name)
        print(
            "| | AJI / AJI+ / PQ / pixel F1 of the label image | of the outlines | ten lines | AUC | top fifth | "
            "bottom fifth | middles without cells |"
        )
        print(f"|{' --- |' * 8}", flush=True)
        found = {one: report_set(options.data / one, folder / one, extra) for one in options.sets}
        shares = {one: row for one, (row, _) in found.items()}
        print(f"\n| --min-confidence, AJI / PQ | {' | '.join(map(str, CUTS))} |")
        print(f"| --- |{' --- |' * len(CUTS)}")
        for one, (_, row) in found.items():
            print(f"| {one} | {' | '.join(row)} |", flush=True)
        print(f"\n| confidence | {' | '.join(f'{low:g} to {low + 0.1:g}' for low in BINS)} |")
        print(f"| --- |{' --- |' * len(BINS)}")
        for one, row in shares.items():
            print(f"| right on {one} | {' | '.join(row)} |", flush=True)
        report_cmu(options.data / "slides", folder / "cmu", extra)


def run(slides: Path, out: Path, *options: str) -> None:
    subprocess.run([*WSIPSM, "run", str(slides), "-o", str(out), *options], check=False, capture_output=True)


def report_set(data: Path, out: Path, extra: list[str]) -> tuple[list[str], list[str]]:
    """One row, one more for the 7 of MoNuSeg that chose nothing; returns shares right by bin and scores by cut."""
    files = sorted((data / "images").iterdir())
    run(data / "images", out / "whole", *MPP, "--keep-doubtful", *extra)
    truths = {file.stem: imread(data / "labels" / f"{file.stem}.png").astype(np.int64) for file in files}
    found = {file.stem: Labelled(out / "whole" / file.stem, truths[file.stem].shape) for file in files}
    empty = middles_without_cells(files, out, extra) if data.name != "monuseg" else "-"
    ours = {name: score_labels(truth, found[name].accepted) for name, truth in truths.items()}
    drawn = {name: score_labels(truth, found[name].drawn(truth.shape)) for name, truth in truths.items()}
    ten = {file.stem: score_labels(truths[file.stem], baseline(read_rgb(file))) for file in files}
    groups = {data.name: files}
    if data.name == "monuseg":
        groups["the 7 .png of it"] = [file for file in files if file.suffix == ".png"]
    for title, group in groups.items():
        names = [file.stem for file in group]
        right = np.concatenate([found[name].right(truths[name]) for name in names])
        confidence = np.concatenate([found[name].confidence for name in names])
        top, bottom = fifths(right, confidence)
        print(
            f"| {title} | {means([ours[n] for n in names])} | {means([drawn[n] for n in names])} | "
            f"{means([ten[n] for n in names])} | "
            f"{auc(right, confidence):.3f} | {top:.2f} | {bottom:.2f} | {empty} |",
            flush=True,
        )
        if title == data.name:
            shares = [share_right(right, confidence, low) for low in BINS]
    return shares, [score_above(found, truths, cut) for cut in CUTS]


def score_above(found: dict[str, Labelled], truths: dict[str, np.ndarray], cut: float) -> str:
    """Mean AJI and PQ without the cells whose confidence is below the cut."""
    scores = [score_labels(truth, found[name].above(cut)) for name, truth in truths.items()]
    return " / ".join(f"{np.mean([getattr(one, key) for one in scores]):.3f}" for key in ("aji", "pq"))


def share_right(right: np.ndarray, confidence: np.ndarray, low: float) -> str:
    here = (confidence >= low) & (confidence < low + 0.1)
    return f"{right[here].mean():.2f} of {here.sum():,}" if here.any() else "-"


class Labelled:
    """Labels of a result at the resolution of the truth: all that was found, and what was not refused."""

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        table = geopandas.read_parquet(folder / "cells.parquet")
        grid = np.asarray(Result(folder).labels)
        index = [((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, grid.shape, strict=True)]
        number = np.zeros(int(grid.max(initial=0)) + 1, np.int64)
        number[table["label"].to_numpy()] = np.arange(1, len(table) + 1)
        self.all = number[grid[np.ix_(*index)]]
        self.confidence = table["confidence"].to_numpy()
        refused = np.append(False, (table["class"] == "Doubtful").to_numpy())
        self.accepted = np.where(refused[self.all], 0, self.all)
        self.outlines = table.geometry[~refused[1:]].tolist()

    def above(self, cut: float) -> np.ndarray:
        """Labels of what was not refused and has at least this confidence."""
        return np.where(np.append(False, self.confidence >= cut)[self.accepted], self.accepted, 0)

    def drawn(self, shape: tuple[int, int]) -> np.ndarray:
        """What was not refused, from the outlines: what ``wsipsm evaluate --outlines`` scores."""
        return rasterise(Outlines(self.outlines), shape).astype(np.int64)

    def right(self, truth: np.ndarray) -> np.ndarray:
        """Which of all cells share more than half of their union with a true nucleus."""
        truth = np.unique(np.append(truth.ravel(), 0), return_inverse=True)[1][:-1]
        n, m = len(self.confidence) + 1, int(truth.max()) + 1
        table = np.bincount(self.all.ravel() * m + truth, minlength=n * m).reshape(n, m)
        union = table.sum(1)[:, None] + table.sum(0)[None] - table
        return np.asarray((table / np.maximum(union, 1))[1:, 1:].max(axis=1, initial=0) > 0.5)


def middles_without_cells(files: list[Path], out: Path, extra: list[str]) -> str:
    """How many fields have no cell in their middle of 256 px."""
    middles = out / "middles"
    middles.mkdir(parents=True, exist_ok=True)
    for file in files:
        image = read_rgb(file)
        y, x = (side // 2 - 128 for side in image.shape[:2])
        imsave(middles / f"{file.stem}.png", image[y : y + 256, x : x + 256], check_contrast=False)
    run(middles, out / "of-middles", *MPP, *extra)
    cells = [json.loads((out / "of-middles" / f.stem / "run.json").read_bytes())["counts"]["cells"] for f in files]
    return f"{sum(not count for count in cells)} of {len(files)}"


def report_cmu(slides: Path, out: Path, extra: list[str]) -> None:
    """False cells in places without nuclei, marked nuclei found, cells elsewhere."""
    run(slides / "CMU-1-Small-Region.svs", out, *extra)
    outlines = geopandas.read_parquet(out / "CMU-1-Small-Region" / "cells.parquet").geometry.to_numpy()
    free, nuclei = (
        shapely.union_all([shapely.geometry.shape(f["geometry"]) for f in json.loads(path.read_bytes())["features"]])
        for path in (slides / f"CMU-1-Small-Region.{name}.geojson" for name in ("nucleus_free", "nuclei"))
    )
    false = int(shapely.contains(free, shapely.centroid(outlines)).sum())
    marked = shapely.get_parts(nuclei)
    hit = len(np.unique(shapely.STRtree(outlines).query(marked, predicate="intersects")[0]))
    mm2 = free.area * 0.499**2 / 1e6
    print(
        f"\nCMU-1-Small-Region: {false / mm2:,.0f} cells/mm2 in {mm2:.3f} mm2 without nuclei, {hit} of {len(marked)} "
        f"marked nuclei found, {len(outlines) - false:,} cells elsewhere"
    )


def means(scores: list) -> str:
    keys = ("aji", "aji_plus", "pq", "pixel_dice")
    return " / ".join(f"{np.mean([getattr(one, key) for one in scores]):.3f}" for key in keys)


def auc(right: np.ndarray, confidence: np.ndarray) -> float:
    ranks, n = rankdata(confidence)[right], int(right.sum())
    return (ranks.sum() - n * (n + 1) / 2) / max(1, n * (len(right) - n))


def fifths(right: np.ndarray, confidence: np.ndarray) -> tuple[float, float]:
    """Share of right cells in the most and the least confident fifth."""
    order, count = np.argsort(confidence, kind="stable"), max(1, len(right) // 5)
    return float(right[order[-count:]].mean()), float(right[order[:count]].mean())


if __name__ == "__main__":
    main()

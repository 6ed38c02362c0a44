"""Score ``wsipsm run`` itself on MoNuSeg: every image a slide, through the command line, beside the ten-line baseline.

``python -m benchmarks.psm_slides --data ../shared/data/monuseg`` writes the 37 images as slides of 0.25 um/px, learns
one encoder on the 30 .tif without labels, runs the slides with it (constants and clusters are each slide's own), and
scores ``labels.ome.zarr`` at 0.25 um/px. Labels score and do nothing else.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import zarr
from skimage.io import imread

from benchmarks.psm_monuseg import baseline, halved, patches_of, report, score
from tests.helpers.slidegen import read_rgb, write_slide
from wsipsm.config import load_config
from wsipsm.nuclei.nets.checkpoint import save_checkpoint
from wsipsm.nuclei.pretrain import pretrain

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for slides and results, kept")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp())
    files = sorted((options.data / "images").iterdir())
    images = [read_rgb(file) for file in files]
    truths = [imread(options.data / "labels" / f"{file.stem}.png").astype(np.int64) for file in files]
    tif = np.array([file.suffix == ".tif" for file in files])
    (folder / "slides").mkdir(parents=True, exist_ok=True)
    for file, image in zip(files, images, strict=True):
        write_slide(folder / "slides" / f"{file.stem}.tiff", image, mpp=0.25)
    encoder = learn(images, tif, options.seed, folder / "encoder.safetensors")
    start = time.perf_counter()
    command = [WSIPSM, "run", str(folder / "slides"), "-o", str(folder / "out"), "--encoder", str(encoder), "--fresh"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"wsipsm run of {len(files)} slides: {time.perf_counter() - start:.0f} s", flush=True)
    report("Otsu and watershed", [score(t, baseline(i)) for i, t in zip(images, truths, strict=True)], tif)
    found = [labels_of(folder / "out" / file.stem) for file in files]
    report(f"wsipsm run, seed {options.seed}", [score(t, f) for t, f in zip(truths, found, strict=True)], tif)


def learn(images: list[np.ndarray], tif: np.ndarray, seed: int, path: Path) -> Path:
    """Checkpoint of an encoder learnt on the .tif images."""
    torch.set_num_threads(1)
    config, start = load_config("he", (f"encoder.seed={seed}",)), time.perf_counter()
    cohort = [patches_of(halved(image), config, i)[:24] for i, image in enumerate(images) if tif[i]]
    save_checkpoint(path, pretrain(cohort, config.encoder, device="cpu").checkpoint())
    print(f"encoder, seed {seed}, learnt on {len(cohort)} images in {time.perf_counter() - start:.0f} s", flush=True)
    return path


def labels_of(results: Path) -> np.ndarray:
    """Labels at the slide's own resolution; two of its pixels a grid pixel."""
    grid = np.asarray(zarr.open_group(results / "labels.ome.zarr", mode="r")["instances/0"])
    return grid.repeat(2, 0).repeat(2, 1)


if __name__ == "__main__":
    main()

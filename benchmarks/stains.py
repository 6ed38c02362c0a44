"""Named stains against found ones: ``python -m benchmarks.stains --data ../shared/data/monuseg``.

The 37 images as they are, and recoloured: each one's haematoxylin and eosin get stain vectors drawn at random, the same
for all methods. Labels score and do nothing else.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.accuracy import Data, encoder, halved, head, say, score_psm, score_segmenter
from benchmarks.psm_monuseg import auc, patches_of
from wsipsm.config import load_config
from wsipsm.nuclei.models import shipped_model
from wsipsm.stain.normalise import measure_slide
from wsipsm.stain.optics import optical_density, smooth, unmix

LEAST_ANGLE, LEAST_OD = 25, 0.08


def random_stains(rng: np.random.Generator) -> np.ndarray:
    """Two unit vectors of optical density that one can tell apart, (2, 3)."""
    while True:
        pair = np.abs(rng.normal(size=(2, 3)))
        pair /= np.linalg.norm(pair, axis=1, keepdims=True)
        if pair.min() > LEAST_OD and pair[0] @ pair[1] < np.cos(np.radians(LEAST_ANGLE)):
            return pair


def recoloured(image: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The image as if its stains had these vectors."""
    strengths = np.stack([np.maximum(plane, 0) for plane in unmix(optical_density(image))], axis=-1)
    return np.clip(np.rint(256 * 10.0 ** -(strengths @ vectors) - 1), 0, 255).astype(np.uint8)


def directions(data: Data, images: list[np.ndarray], stain: str) -> str:
    """Pixel AUC of the nuclear stain alone."""
    found = []
    for image, truth in zip(map(halved, images), data.truths, strict=True):
        stats = measure_slide(patches_of(image, load_config("he")), stain)
        plane = smooth(unmix(optical_density(image), stats.vectors)[0], 1.5)
        found.append(auc(truth[::2, ::2] > 0, plane))
    return f"mean {np.mean(found):.4f}, least {np.min(found):.3f}, wrong sign {(np.array(found) < 0.5).sum()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--seed", type=int, default=0, help="of the random stain vectors")
    parser.add_argument("--parts", nargs="+", default=["psm", "segmenter"])
    parser.add_argument("--he", type=Path, help="checkpoint in place of the shipped one")
    parser.add_argument("--unknown", type=Path, help="checkpoint in place of the shipped one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    data, rng = Data.load(options.data), np.random.default_rng(options.seed)
    sets = {
        "as they are": data.images,
        "recoloured": [recoloured(image, random_stains(rng)) for image in data.images],
    }
    print("### The nuclear stain alone, sigma 1.5: pixel AUC\n")
    for name, images in sets.items():
        for stain in ("he", "unknown"):
            print(f"- {name}, stain {stain}: {directions(data, images, stain)}", flush=True)
    head("Named and unknown stains")
    for stain in ("he", "unknown"):
        settings = (f"recognizer.stain={stain}",)
        if "psm" in options.parts:
            config = load_config("he", ("recognizer.method=psm", *settings))
            net = encoder(data, config)
            for name, images in sets.items():
                start, changed = time.perf_counter(), Data(data.names, images, data.truths, data.tif)
                say(
                    f"pseudo masks, stain {stain}, {name}",
                    data,
                    score_psm(changed, net, config),
                    time.perf_counter() - start,
                )
        if "segmenter" in options.parts:
            model = (options.he if stain == "he" else options.unknown) or shipped_model(stain)
            for name, images in sets.items():
                start = time.perf_counter()
                found = score_segmenter(map(halved, images), data, model, load_config("he", settings))
                say(f"segmenter, stain {stain}, {name}", data, found, time.perf_counter() - start)


if __name__ == "__main__":
    main()

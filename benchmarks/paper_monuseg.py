"""The paper's method on MoNuSeg, learnt from the 30 .tif images without labels, in the time there is.

    python -m benchmarks.paper_monuseg --data ../shared/data/monuseg --minutes 15 --out /tmp/paper [--set ...]

Each network is timed on this machine and given the steps that fit its share of the minutes; the table says how many of
the steps of all epochs (``wsipsm config show paper``) that is. The 30 images are those learnt from; of the 7 .png
nothing is learnt. Scores are means over images, of the whole image and, as the authors score, of the 512 px crop in its
middle. The pseudo mask is that of the crop. Labels score and do nothing else.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from skimage.io import imread
from skimage.measure import label

from benchmarks.psm_monuseg import auc
from benchmarks.psm_monuseg import score as score_found
from wsipsm.core.events import Event, Observer
from wsipsm.training.paper.clustering import pseudo_mask
from wsipsm.training.paper.encoder import ActivationEncoder
from wsipsm.training.paper.folder import PaperFolder
from wsipsm.training.paper.learn import steps_of
from wsipsm.training.paper.maps import activation_map
from wsipsm.training.paper.model import load_encoder
from wsipsm.training.paper.pipeline import centre_crops, train_paper
from wsipsm.training.paper.segmenter import components, watershed_instances
from wsipsm.training.paper.settings import PaperSettings, load_paper_settings
from wsipsm.training.paper.tasks import TASKS
from wsipsm.training.paper.unet import ResUNet

CPU = "cpu"
SHARES = {"encoder": 0.35, "points": 0.15, "segmenter": 0.2}
"""Of the minutes; maps, masks and predictions take the rest."""


def seconds_a_step(settings: PaperSettings, stage: str) -> float:
    """Time of the second of two steps, of which the first warms up."""
    part, side = getattr(settings, stage), settings.data.crop_px
    images = torch.rand(part.batch, 3, side, side) * 255
    if stage == "encoder":
        net = ActivationEncoder(part.name, part.task, seed=0)
        step = lambda: TASKS[part.task].loss(net.encoder, net.predictor, images, np.random.default_rng(0))  # noqa: E731
    else:
        unet = ResUNet(part.name, seed=0)
        step = lambda: unet(images).mean()  # noqa: E731
    return min(timed(lambda: torch.autograd.backward(step())) for _ in range(2))


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fitted(settings: PaperSettings, images: int, minutes: float) -> PaperSettings:
    """Settings with the epochs that fit the minutes, at most those asked for."""
    parts = {}
    for stage, share in SHARES.items():
        part, seconds = getattr(settings, stage), seconds_a_step(settings, stage)
        asked = steps_of(part.epochs, images, part.batch)
        steps = min(asked, max(1, int(share * minutes * 60 / seconds)))
        print(f"{stage:10} {seconds:6.1f} s a step of {part.batch}: {steps} of {asked} steps", flush=True)
        parts[stage] = part.model_copy(update={"epochs": steps * part.batch / images - 1e-9})
    return settings.model_copy(update=parts)


def follow(start: float) -> Observer:
    def observe(event: Event) -> None:
        if event.kind == "step" and (event.step in (1, event.steps) or event.step % 5 == 0):
            loss = "" if event.loss is None else f"loss {event.loss:.4f}"
            print(f"{time.perf_counter() - start:7.0f} s  {event.text} {event.step}/{event.steps} {loss}", flush=True)

    return observe


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder for the networks and masks")
    parser.add_argument("--set", nargs="*", default=[], help="section.key=value, see wsipsm config show paper")
    args = parser.parse_args()
    start = time.perf_counter()
    settings = load_paper_settings("paper", tuple(args.set))
    torch.set_num_threads(settings.training.threads)
    files = sorted((args.data / "images").iterdir())
    images = [(file.stem, imread(file)[..., :3]) for file in files]
    truths = [imread(args.data / "labels" / f"{file.stem}.png").astype(np.int64) for file in files]
    tif = np.array([file.suffix == ".tif" for file in files])
    learnt_from = [pair for pair, used in zip(images, tif, strict=True) if used]
    settings = fitted(settings, len(learnt_from), args.minutes)
    model = train_paper(learnt_from, settings, out=args.out, device=CPU, on_event=follow(start))
    encoder, _ = load_encoder(PaperFolder.below(args.out).encoder, device=CPU)
    table: dict[str, list[tuple[float, ...]]] = {}
    for pair, truth in zip(images, truths, strict=True):
        for name, row in scores(pair, truth, encoder, model.probability(pair[1]), settings).items():
            table.setdefault(name, []).append(row)
    report(table, tif)
    print(f"{time.perf_counter() - start:.0f} s in all")


def scores(
    pair: tuple[str, np.ndarray],
    truth: np.ndarray,
    encoder: ActivationEncoder,
    probability: np.ndarray,
    settings: PaperSettings,
) -> dict[str, tuple[float, ...]]:
    """AJI, PQ and pixel F1 of everything that finds instances, and the AUC of the maps behind them."""
    (crop,) = centre_crops([pair], settings.data.crop_px)
    inner = tuple(slice((n - settings.data.crop_px) // 2, (n + settings.data.crop_px) // 2) for n in truth.shape)
    activation = activation_map(encoder, crop, settings.maps)
    mask = pseudo_mask(activation, crop, settings.masks, seed=settings.training.seed)
    positive = truth > 0
    # The authors take connected components of the annotated mask too, which merges touching nuclei.
    merged = label(positive[inner], connectivity=2)
    return {
        "pseudo mask, crop": (*score(truth[inner], label(mask, connectivity=2)), auc(positive[inner], activation)),
        "pseudo mask, crop, truth merged": score(merged, label(mask, connectivity=2)),
        "segmenter, components, whole": (*score(truth, components(probability)), auc(positive, probability)),
        "segmenter, watershed, whole": score(truth, watershed_instances(probability, settings.points)),
        "segmenter, components, crop": score(truth[inner], components(probability[inner])),
        "segmenter, components, crop, truth merged": score(merged, components(probability[inner])),
    }


def score(truth: np.ndarray, found: np.ndarray) -> tuple[float, ...]:
    """AJI, PQ, pixel F1; nothing for nothing found."""
    return score_found(truth, found) if found.any() else (0.0, 0.0, 0.0)


def report(table: dict[str, list[tuple[float, ...]]], tif: np.ndarray) -> None:
    for name, rows in table.items():
        for part, which in (("30 .tif", tif), ("7 .png", ~tif)):
            means = np.array(rows)[which].mean(axis=0)
            numbers = "  ".join(f"{c} {v:.4f}" for c, v in zip(("AJI", "PQ", "F1", "AUC"), means, strict=False))
            print(f"{name:42} {part:8} {numbers}")


if __name__ == "__main__":
    main()

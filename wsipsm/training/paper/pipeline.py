"""Pipeline of the paper's method: images, encoder, activation maps, pseudo masks, points, Voronoi labels, segmenter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import orjson
import torch
from torch import Tensor, nn

from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.core.events import Event, Observer, ignore
from wsipsm.core.files import make_folder, write_bytes
from wsipsm.core.geometry import Image, Mask
from wsipsm.core.lock import locked
from wsipsm.nuclei.learning import Loss, Plan, StepRecord
from wsipsm.nuclei.nets.device import Device, limited_threads
from wsipsm.training.paper.clustering import pseudo_mask
from wsipsm.training.paper.encoder import ActivationEncoder
from wsipsm.training.paper.folder import PaperFolder
from wsipsm.training.paper.learn import batch_indices, learn, steps_of
from wsipsm.training.paper.maps import activation_map, to_tensor
from wsipsm.training.paper.model import PaperModel, save_encoder
from wsipsm.training.paper.points import find_points
from wsipsm.training.paper.segmenter import log_probabilities, nucleus_probability, partial_nll, segmenter_loss
from wsipsm.training.paper.settings import EncoderSettings, PaperSettings, UNetSettings
from wsipsm.training.paper.tasks import TASKS
from wsipsm.training.paper.unet import ResUNet
from wsipsm.training.paper.voronoi import Targets, mask_targets, voronoi_targets

_DRAWN = np.array([0, 120, 255], np.uint8)  # grey levels of background, nucleus and ignored in the PNG files

PAPER_VERSION = 1
"""Raised by hand whenever the same images and settings train other networks than before."""


@dataclass(frozen=True)
class _Run:
    """Settings, folder and device that all stages share."""

    settings: PaperSettings
    folder: PaperFolder
    device: Device
    on_event: Observer
    fingerprint: str
    images: int

    def learn(self, net: nn.Module, loss_of: Loss, stage: str, of: EncoderSettings | UNetSettings) -> None:
        """Train the network of a stage by its section of the settings."""
        training, state = self.settings.training, self.folder.state(stage)
        steps = steps_of(of.epochs, self.images, of.batch)
        plan = Plan(stage, steps, state, training.save_every, self.fingerprint)
        self.on_event(Event("stage", text=stage, steps=steps))
        learn(net, loss_of, plan, learning_rate=of.learning_rate, seed=training.seed, progress=self.report)

    def report(self, record: StepRecord) -> None:
        """Report a step of a stage."""
        step = Event("step", text=record.stage, step=record.step, steps=record.steps, loss=record.loss)
        self.on_event(step)

    def batch(self, arrays: Tensor, step: int, size: int) -> Tensor:
        """Images or targets of the batch of a step, on the device."""
        seed = self.settings.training.seed
        return arrays[batch_indices(step, images=len(arrays), batch=size, seed=seed)].to(self.device)


def train_paper(
    images: Sequence[tuple[str, Image]],
    settings: PaperSettings,
    *,
    out: Path,
    device: Device,
    on_event: Observer = ignore,
    fresh: bool = False,
) -> PaperModel:
    """Train a segmenter on images without annotations, as in Chen et al. 2023.

    A killed training that is started again with the same images, settings and folder resumes, and on one CPU ends with
    the same bits.

    Parameters
    ----------
    images : sequence of (str, (y, x, 3) uint8)
        Names and RGB at ``settings.data.mpp``; the crop in the middle of each is used.
    settings : PaperSettings
        Settings of all stages.
    out : Path
        Output folder. Below it, in ``paper``, lie ``encoder.safetensors``, ``masks/*.png``, ``voronoi/*.png`` and
        ``segmenter.safetensors``.
    device : device
        Where to compute.
    on_event : callable
        Receives each stage (``encoder``, ``masks``, ``points``, ``voronoi``, ``segmenter``) and its steps; an exception
        that it raises ends the training, which can be resumed.
    fresh : bool
        Remove the files of an earlier training that its record lists, and no others.

    Raises
    ------
    FitError
        No image, an image smaller than the crop, or a loss that is not finite.
    OutputError
        The folder cannot be written, holds a training of other images or settings, or files that are of none.
    LockedError
        Another training, or a run, works in the output folder.
    """
    crops, names = centre_crops(images, settings.data.crop_px), [name for name, _ in images]
    folder, fingerprint = PaperFolder.below(out), _fingerprint(crops, settings)
    make_folder(out)
    with locked(out):
        facts = {"fingerprint": fingerprint, "images": names, "settings": settings.model_dump(mode="json")}
        folder.begin(facts, fresh=fresh)
        if not folder.model.is_file():
            with limited_threads(settings.training.threads):
                _learn(crops, _Run(settings, folder, device, on_event, fingerprint, len(crops))).save(folder.model)
        folder.drop_states()
        return PaperModel.load(folder.model, device=device)


def _learn(crops: list[Image], run: _Run) -> PaperModel:
    """Run all stages."""
    encoder = _learn_encoder(crops, run)
    masks = _make_masks(crops, encoder, run)
    finder = _learn_point_network(crops, masks, run)
    return _learn_segmenter(crops, masks, _make_voronoi(crops, finder, run), run)


def centre_crops(images: Sequence[tuple[str, Image]], side: int) -> list[Image]:
    """Squares from the middle of the images.

    Raises
    ------
    FitError
        No image, or one smaller than the square.
    """
    if not images:
        raise FitError("no image to learn from: expected one or more")
    crops = []
    for name, image in images:
        height, width = image.shape[:2]
        if min(height, width) < side:
            raise FitError(
                f"{name}: {width} x {height} px, expected at least {side}: lower data.crop_px or leave it out"
            )
        y, x = (height - side) // 2, (width - side) // 2
        crops.append(np.ascontiguousarray(image[y : y + side, x : x + side]))
    return crops


def _fingerprint(crops: list[Image], settings: PaperSettings) -> str:
    """Fingerprint of all that the result depends on."""
    digest = hashlib.sha256(str(PAPER_VERSION).encode() + orjson.dumps(settings.model_dump(mode="json")))
    for crop in crops:
        digest.update(hashlib.sha256(crop.tobytes()).digest())
    return digest.hexdigest()


def _learn_encoder(crops: list[Image], run: _Run) -> ActivationEncoder:
    settings, seed = run.settings.encoder, run.settings.training.seed
    encoder = ActivationEncoder(settings.name, settings.task, seed=seed).to(run.device)
    images, task = _stacked(crops), TASKS[settings.task]

    def loss_of(step: int) -> Tensor:
        batch = run.batch(images, step, settings.batch).float()
        return task.loss(encoder.encoder, encoder.predictor, batch, np.random.default_rng((seed, step)))

    run.learn(encoder, loss_of, "encoder", settings)
    save_encoder(run.folder.encoder, encoder, run.settings, fingerprint=run.fingerprint)
    return encoder


def _make_masks(crops: list[Image], encoder: ActivationEncoder, run: _Run) -> list[Mask]:
    settings = run.settings

    def make(index: int) -> Image:
        activation = activation_map(encoder, crops[index], settings.maps)
        mask = pseudo_mask(activation, crops[index], settings.masks, seed=settings.training.seed)
        return np.where(mask, 255, 0).astype(np.uint8)

    return [plane > 0 for plane in _drawn(make, len(crops), "masks", run)]


def _learn_point_network(crops: list[Image], masks: list[Mask], run: _Run) -> ResUNet:
    """Train on the pseudo masks; the peaks of its probability will be the points."""
    settings, training = run.settings.points, run.settings.training
    net = ResUNet(settings.name, seed=training.seed).to(run.device)
    images = _stacked(crops)
    targets = torch.from_numpy(np.stack([mask_targets(mask, learn_foreground=True) for mask in masks]))

    def loss_of(step: int) -> Tensor:
        logits = net(run.batch(images, step, settings.batch).float())
        found = log_probabilities(logits, softmax_twice=training.softmax_twice)
        return partial_nll(found, run.batch(targets, step, settings.batch).long())

    run.learn(net, loss_of, "points", settings)
    return net


def _make_voronoi(crops: list[Image], finder: ResUNet, run: _Run) -> list[Targets]:
    def make(index: int) -> Targets:
        with torch.inference_mode():
            probability = nucleus_probability(finder(to_tensor(crops[index]).to(run.device)))
        points = find_points(probability, run.settings.points)
        return _DRAWN[voronoi_targets(points, probability.shape, dot_radius_px=run.settings.segmenter.dot_radius_px)]

    return [np.searchsorted(_DRAWN, plane).astype(np.uint8) for plane in _drawn(make, len(crops), "voronoi", run)]


def _learn_segmenter(crops: list[Image], masks: list[Mask], voronoi: list[Targets], run: _Run) -> PaperModel:
    settings, training = run.settings.segmenter, run.settings.training
    net = ResUNet(settings.name, seed=training.seed + 1).to(run.device)
    images, between = _stacked(crops), torch.from_numpy(np.stack(voronoi))
    learn_foreground = settings.learn_foreground
    targets = torch.from_numpy(np.stack([mask_targets(mask, learn_foreground=learn_foreground) for mask in masks]))

    def loss_of(step: int) -> Tensor:
        image, mask, edge = (run.batch(arrays, step, settings.batch) for arrays in (images, targets, between))
        found = log_probabilities(net(image.float()), softmax_twice=training.softmax_twice)
        return segmenter_loss(found, mask.long(), edge.long(), voronoi_weight=settings.voronoi_weight)

    run.learn(net, loss_of, "segmenter", settings)
    return PaperModel(net, run.settings, fingerprint=run.fingerprint, device=run.device)


def _drawn(make: Callable[[int], Image], count: int, stage: str, run: _Run) -> list[Image]:
    """Planes of all images, read from their PNG files or, where these are missing, made and written."""
    planes = []
    run.on_event(Event("stage", text=stage, steps=count))
    for index in range(count):
        path = run.folder.drawn(stage, index)
        if not path.is_file():
            write_bytes(path, cv2.imencode(".png", make(index))[1].tobytes())
        plane = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if plane is None:
            raise CheckpointError(f"{path}: damaged; remove it and begin again")
        planes.append(np.asarray(plane, np.uint8))
        run.report(StepRecord(stage, index + 1, count))
    return planes


def _stacked(crops: list[Image]) -> Tensor:
    """(n, 3, y, x) uint8 of (y, x, 3) crops."""
    return torch.from_numpy(np.stack(crops).transpose(0, 3, 1, 2).copy())

"""The two checkpoints of the paper's method: activation network and segmenter."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from wsipsm.core.errors import CheckpointError
from wsipsm.core.geometry import Image, Map
from wsipsm.nuclei.nets.blocks import arrays_of, load_tensors
from wsipsm.nuclei.nets.checkpoint import Arrays, Checkpoint, load_checkpoint, save_checkpoint
from wsipsm.nuclei.nets.device import Device
from wsipsm.training.paper.encoder import ActivationEncoder
from wsipsm.training.paper.maps import to_tensor
from wsipsm.training.paper.segmenter import components, nucleus_probability, watershed_instances
from wsipsm.training.paper.settings import PaperSettings
from wsipsm.training.paper.unet import ResUNet
from wsipsm.training.targets import Instances

ENCODER_KIND, SEGMENTER_KIND = "paper-encoder", "paper-segmenter"
"""Kinds of the two checkpoints."""


class PaperModel:
    """The trained segmenter of the paper's method, with its settings.

    Parameters
    ----------
    net : ResUNet
        Trained.
    settings : PaperSettings
        Of the training; ``segmenter.instances`` and ``points`` also decide how instances are found.
    fingerprint : str
        Of images and settings.
    device : device
        Where to compute.
    """

    def __init__(self, net: ResUNet, settings: PaperSettings, *, fingerprint: str, device: Device) -> None:
        self.net, self.settings = net.to(device).eval(), settings
        self.fingerprint, self.device = fingerprint, device

    def probability(self, image: Image) -> Map:
        """Probability of nucleus, (y, x) float32, 0 to 1, of (y, x, 3) uint8 RGB at ``settings.data.mpp``.

        The image goes through the network as a whole: one megapixel takes about 2 GB.
        """
        with torch.inference_mode():
            return nucleus_probability(self.net(to_tensor(image).to(self.device)))

    def predict(self, image: Image) -> Instances:
        """Nuclei, (y, x) int32 with 0 for background, of (y, x, 3) uint8 RGB at ``settings.data.mpp``."""
        probability = self.probability(image)
        if self.settings.segmenter.instances == "watershed":
            return watershed_instances(probability, self.settings.points)
        return components(probability)

    def save(self, path: Path) -> None:
        """Write the checkpoint whole or not at all."""
        _save(path, SEGMENTER_KIND, self.net, self.settings, self.fingerprint)

    @classmethod
    def load(cls, path: Path, *, device: Device) -> PaperModel:
        """Model of a file of :meth:`save`.

        Raises
        ------
        CheckpointError
            Missing, damaged, or of another kind.
        """
        settings, fingerprint, tensors = _load(path, SEGMENTER_KIND)
        net = ResUNet(settings.segmenter.name, seed=settings.training.seed)
        load_tensors(net, tensors)
        return cls(net, settings, fingerprint=fingerprint, device=device)


def save_encoder(path: Path, encoder: ActivationEncoder, settings: PaperSettings, *, fingerprint: str) -> None:
    """Write the activation network whole or not at all.

    Parameters
    ----------
    path : Path
        The checkpoint.
    encoder : ActivationEncoder
        Trained.
    settings : PaperSettings
        Of the training.
    fingerprint : str
        Of the images and settings that it learnt from.
    """
    _save(path, ENCODER_KIND, encoder, settings, fingerprint)


def load_encoder(path: Path, *, device: Device) -> tuple[ActivationEncoder, PaperSettings]:
    """Activation network of a file of :func:`save_encoder`, in evaluation mode, and the settings of its training.

    Raises
    ------
    CheckpointError
        Missing, damaged, or of another kind.
    """
    settings, _, tensors = _load(path, ENCODER_KIND)
    encoder = ActivationEncoder(settings.encoder.name, settings.encoder.task, seed=settings.training.seed)
    load_tensors(encoder, tensors)
    return encoder.to(device).eval(), settings


def _save(path: Path, kind: str, network: nn.Module, settings: PaperSettings, fingerprint: str) -> None:
    table = {"settings": settings.model_dump(mode="json"), "fingerprint": fingerprint}
    save_checkpoint(path, Checkpoint(kind, table, arrays_of(network)))


def _load(path: Path, kind: str) -> tuple[PaperSettings, str, Arrays]:
    checkpoint = load_checkpoint(path, kinds=(kind,))
    try:
        settings, fingerprint = checkpoint.table["settings"], str(checkpoint.table["fingerprint"])
        return PaperSettings.model_validate(settings), fingerprint, checkpoint.tensors
    except (KeyError, ValueError):
        raise CheckpointError(f"{path}: its settings cannot be read: train again with this wsipsm") from None

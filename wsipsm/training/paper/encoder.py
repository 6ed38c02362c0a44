"""Activation network: any timm network with random weights, and the outputs of its shallow blocks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from wsipsm.core.errors import ConfigError, ExtraError
from wsipsm.training.paper.tasks import TASKS, Predictor

try:
    import timm
except ModuleNotFoundError:
    raise ExtraError("paper", "timm") from None


class ActivationEncoder(nn.Module):
    """A timm network with the outputs of one self-supervised task.

    Parameters
    ----------
    name : str
        Of timm, such as ``res2net101_26w_4s``.
    task : str
        One of ``TASKS``; it fixes the number of outputs.
    seed : int
        Of the initial weights; torch's own random state is left alone.

    Raises
    ------
    ConfigError
        timm has no such network.
    """

    def __init__(self, name: str, task: str, *, seed: int) -> None:
        super().__init__()
        self.name, self.task = name, task
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = create(name, num_classes=TASKS[task].outputs)
            self.predictor = Predictor() if TASKS[task].predicts else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Outputs (b, n) of (b, 3, y, x) RGB, 0 to 255."""
        outputs: Tensor = self.encoder(images)
        return outputs

    def shallow(self, images: Tensor, stages: tuple[str, ...]) -> tuple[list[Tensor], Tensor]:
        """Outputs of every block of some stages, shallow to deep, and those of the network.

        Parameters
        ----------
        images : (b, 3, y, x) float
            RGB.
        stages : tuple of str
            Names of modules that hold blocks, such as ``layer1``.

        Returns
        -------
        list of (b, c, j, i) float, and (b, n) float
            Of one graph: gradients of the second with respect to the first exist.

        Raises
        ------
        ConfigError
            The network has no such stage.
        """
        blocks = [block for stage in stages for block in self._stage(stage).children()]
        found: dict[nn.Module, Tensor] = {}
        hooks = [block.register_forward_hook(lambda b, _, out: found.__setitem__(b, out)) for block in blocks]
        try:
            outputs = self.encoder(images)
        finally:
            for hook in hooks:
                hook.remove()
        return [found[block] for block in blocks], outputs

    def _stage(self, name: str) -> nn.Module:
        try:
            stage = self.encoder.get_submodule(name)
        except AttributeError:
            stage = nn.Identity()
        if not isinstance(stage, nn.Sequential):
            known = ", ".join(key for key, module in self.encoder.named_children() if isinstance(module, nn.Sequential))
            raise ConfigError(f"maps.stages: {self.name} has no stage {name!r}, expected one of {known}")
        return stage


def create(name: str, **options: Any) -> nn.Module:
    """Network of timm with random weights.

    Raises
    ------
    ConfigError
        timm has no such network.
    """
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:3]) or "for example resnet34"
        raise ConfigError(f"timm has no network {name!r}, expected one of timm.list_models(): {near}")
    net: nn.Module = timm.create_model(name, pretrained=False, **options)
    return net

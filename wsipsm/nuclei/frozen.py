"""Frozen networks: weights that no longer change, applied to blocks of a slide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch

from wsipsm.core.errors import CheckpointError
from wsipsm.core.geometry import Image
from wsipsm.core.stains import Stain
from wsipsm.nuclei.nets.blocks import AnyNetwork, folded
from wsipsm.nuclei.nets.checkpoint import Checkpoint, load_tensors
from wsipsm.nuclei.nets.device import Batches
from wsipsm.stain.normalise import SlideStats, as_stain

Maps = TypeVar("Maps")


class FrozenNet(ABC, Generic[AnyNetwork, Maps]):
    """A trained network that maps blocks; the class of a network says what its maps are.

    Parameters
    ----------
    network : Network
        Trained; it is put into evaluation mode and frozen.
    stain : {'he', 'unknown'}
        Stains of the slides it was trained on.
    provenance : dict
        JSON-ready: what it was trained on and how.
    device : torch.device
        Where it computes.
    """

    kind: ClassVar[str]
    """Kind of its checkpoints, and prefix of the network's tensors in them."""

    def __init__(
        self, network: AnyNetwork, *, stain: Stain = "he", provenance: dict[str, Any], device: torch.device
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        # torch takes memory_format, its stubs do not know it
        self._fast = folded(self.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.stain = stain
        self.provenance = provenance
        self.device = device
        self._batches = Batches(device)

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""
        return self.network.shape.halo_px

    def maps(self, block: Image, stats: SlideStats) -> Maps:
        """Maps of one block, as `maps_of`."""
        return self.maps_of([block], stats)[0]

    def maps_of(self, blocks: Sequence[Image], stats: SlideStats) -> list[Maps]:
        """Maps of blocks; the same block gives the same bits on one kind of device.

        Parameters
        ----------
        blocks : sequence of (y, x, 3) uint8
            RGB at the resolution of the training, of one size, halos included.
        stats : SlideStats
            Of the slide.

        Raises
        ------
        DeviceMemoryError
            The GPU cannot hold one block.
        """
        return self._batches.run(lambda some: self._maps(some, stats), blocks)

    @abstractmethod
    def _maps(self, blocks: Sequence[Image], stats: SlideStats) -> list[Maps]:
        """Maps of as many blocks as the device takes at once."""

    def checkpoint(self) -> Checkpoint:
        """Content of a checkpoint."""
        tensors = {f"{self.kind}.{name}": tensor.cpu() for name, tensor in self.network.state_dict().items()}
        table = {"shape": self.network.shape.to_dict(), "stain": self.stain, "provenance": self.provenance}
        return Checkpoint(self.kind, table, tensors)

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, *, device: torch.device) -> Self:
        """Network of a checkpoint, also of one that holds the constants of a slide besides.

        Raises
        ------
        CheckpointError
            The table or the tensors are not those of such a network.
        """
        table, prefix = checkpoint.table, f"{cls.kind}."
        try:
            network, own = cls._parse(checkpoint)
            stain, provenance = as_stain(table), dict(table["provenance"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint holds no {cls.kind}: {error}") from None
        named = {key.removeprefix(prefix): t for key, t in checkpoint.tensors.items() if key.startswith(prefix)}
        load_tensors(network, named)
        return cls(network, stain=stain, provenance=provenance, device=device, **own)

    @classmethod
    @abstractmethod
    def _parse(cls, checkpoint: Checkpoint) -> tuple[AnyNetwork, dict[str, Any]]:
        """Network of the shape, with initial weights, and the constructor's arguments that only this class has."""

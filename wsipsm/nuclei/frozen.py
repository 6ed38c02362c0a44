"""Frozen networks: weights that no longer change, applied to blocks of a slide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

from wsipsm.core.errors import CheckpointError
from wsipsm.core.geometry import Image
from wsipsm.core.stains import Stain
from wsipsm.nuclei.nets.checkpoint import Arrays, Checkpoint
from wsipsm.nuclei.nets.device import Batches, Device
from wsipsm.stain.normalise import SlideStats, as_stain

Maps = TypeVar("Maps")


class FrozenNet(ABC, Generic[Maps]):
    """A trained network that maps blocks; the class of a network says what its maps are.

    Parameters
    ----------
    stain : {'he', 'unknown'}
        Stains of the slides it was trained on.
    provenance : dict
        JSON-ready: what it was trained on and how.
    device : {'cpu', 'cuda'}
        Where it computes.
    """

    kind: ClassVar[str]
    """Kind of its checkpoints, and prefix of the network's tensors in them."""

    def __init__(self, *, stain: Stain = "he", provenance: dict[str, Any], device: Device) -> None:
        self.stain = stain
        self.provenance = provenance
        self.device = device
        self._batches = Batches(device)

    @property
    @abstractmethod
    def halo_px(self) -> int:
        """Pixels around a block that its maps depend on."""

    @property
    def by_torch(self) -> bool:
        """Whether PyTorch computes its maps, which has threads of its own."""
        return True

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
        table = {"shape": self._shape(), "stain": self.stain, "provenance": self.provenance}
        return Checkpoint(self.kind, table, {f"{self.kind}.{name}": array for name, array in self._arrays().items()})

    @abstractmethod
    def _shape(self) -> dict[str, Any]:
        """JSON-ready: what fixes its tensors up to their values."""

    @abstractmethod
    def _arrays(self) -> Arrays:
        """Tensors of the network by name."""

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, *, device: Device) -> Self:
        """Network of a checkpoint, also of one that holds the constants of a slide besides.

        Raises
        ------
        CheckpointError
            The table or the tensors are not those of such a network.
        """
        table, prefix = checkpoint.table, f"{cls.kind}."
        try:
            stain, provenance = as_stain(table), dict(table["provenance"])
            named = {key.removeprefix(prefix): t for key, t in checkpoint.tensors.items() if key.startswith(prefix)}
            return cls._parsed(checkpoint, named, stain=stain, provenance=provenance, device=device)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint holds no {cls.kind}: {error}") from None

    @classmethod
    @abstractmethod
    def _parsed(cls, checkpoint: Checkpoint, arrays: Arrays, **common: Any) -> Self:
        """Network of the tensors of a checkpoint; ``common`` are arguments of the constructor."""

"""What the encoder and the U-Net share: pairs of convolutions with batch norm, and the copy that is run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from wsipsm.core.errors import CheckpointError


class Shape(Protocol):
    """What fixes the tensors of a network up to their values."""

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its inside depends on."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""


class Network(nn.Module):
    """Base of the networks, each of which is built from its shape alone."""

    shape: Shape


AnyNetwork = TypeVar("AnyNetwork", bound=Network)


class DoubleConv(nn.Module):
    """Two 3 x 3 convolutions, each with batch norm.

    Parameters
    ----------
    width_in, width : int
        Channels of the input and of both convolutions.
    padding : int
        Of both, pixels.
    """

    def __init__(self, width_in: int, width: int, *, padding: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width, 3, padding=padding, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=padding, bias=False)
        self.second_norm = nn.BatchNorm2d(width)

    def linear(self, x: Tensor) -> Tensor:
        """Output before the last ReLU."""
        inner = F.relu(self.first_norm(self.first(x)))
        normed: Tensor = self.second_norm(self.second(inner))
        return normed


def folded(network: AnyNetwork) -> AnyNetwork:
    """Copy whose batch norms are folded into the convolutions: equal up to rounding, in two thirds of the time.

    Parameters
    ----------
    network : Network
        In evaluation mode; each batch norm directly follows its convolution among the children of a module.
    """
    copied = copy.deepcopy(network)
    for owner in list(copied.modules()):
        for (conv_name, conv), (norm_name, norm) in pairwise(list(owner.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(owner, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(owner, norm_name, nn.Identity())
    return copied


def load_tensors(module: nn.Module, tensors: Mapping[str, Any]) -> None:
    """Fill a module with tensors or arrays; every one must be there, fit and be finite.

    Raises
    ------
    CheckpointError
        A tensor is missing, left over, of another shape, or not finite.
    """
    given = {name: torch.as_tensor(tensor) for name, tensor in tensors.items()}
    try:
        module.load_state_dict(given, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"the checkpoint's tensors do not fit its network: {reason}") from None
    if not all(bool(torch.isfinite(tensor).all()) for tensor in given.values()):
        raise CheckpointError("the checkpoint's tensors are not all finite: make it again")


def arrays_of(module: nn.Module) -> dict[str, npt.NDArray[Any]]:
    """Copies of the tensors of a module by name."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}

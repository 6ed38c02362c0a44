"""Recipes: workers that a cluster's manager starts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from wsipsm.config.base import Section


class RecipeConfig(Section):
    """Workers that the manager of a cluster starts."""

    kind: Literal["slurm", "cuda", "kubernetes"]
    """The manager: slurm, cuda or kubernetes."""
    jobs: int = Field(default=1, ge=1)
    """SLURM jobs, each of which may bring several workers, or Kubernetes workers; ignored for ``cuda``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the Dask class that talks to the manager."""

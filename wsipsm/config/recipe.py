"""Recipes: workers that a cluster's manager starts."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from wsipsm.config.base import Section


class RecipeConfig(Section):
    """Workers that a cluster's own manager starts."""

    kind: Literal["slurm", "cuda", "kubernetes"]
    """Who starts them."""
    jobs: int = Field(default=1, ge=1)
    """SLURM jobs, each of which may bring several workers, or Kubernetes workers; of no meaning for ``cuda``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of the class of Dask that talks to the manager."""

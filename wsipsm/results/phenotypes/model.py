"""A fitted model: a JSON file that says which cluster a cell belongs to, and of what it was made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wsipsm.cells.classes import CLUSTERS
from wsipsm.core.errors import CheckpointError, OutputError, short_reason
from wsipsm.core.files import write_once
from wsipsm.results.phenotypes.features import SHAPE, Floats, Scale

FORMAT: Literal["wsipsm phenotype clusters"] = "wsipsm phenotype clusters"
VERSION: Literal[1] = 1
MAX_CLUSTERS = len(CLUSTERS.names)

Method = Literal["kmeans", "gmm"]
"""k-means, or a mixture of Gaussians with full covariances."""
Number = Annotated[float, Field(allow_inf_nan=False)]
Row = tuple[Number, ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FittedSlide(_Part):
    """A slide that a model was fitted on."""

    name: str
    """Name of its output folder."""
    fingerprint: str
    """Of its file."""
    mpp: Number
    """Micrometres per pixel that its cells were found at."""
    cells: int
    """Cells that could have been drawn."""
    drawn: int
    """Cells that were drawn at random."""


class Cluster(_Part):
    """One cluster; centres and precisions are in scaled features, see `wsipsm.results.phenotypes.features`."""

    name: str
    """``Cluster 1`` has most of the cells of the fit, and so on."""
    cells: int
    """Cells of the fit in it."""
    medians: dict[str, Number]
    """Medians of its measurements, in the units of the tables."""
    center: Row
    """Centre, or mean of the Gaussian; (F,)."""
    weight: Number | None = Field(default=None, gt=0)
    """Share of the mixture; only of a mixture."""
    precision_cholesky: tuple[Row, ...] | None = None
    """Cholesky factor U of the precision U U^T, upper triangular; (F, F); only of a mixture."""


class PhenotypeModel(_Part):
    """Which cluster a cell belongs to, frozen."""

    format: Literal["wsipsm phenotype clusters"] = FORMAT
    version: Literal[1] = VERSION
    wsipsm: str
    """Version that fitted it."""
    method: Method
    seed: int
    columns: tuple[str, ...]
    """Columns of cells.parquet that are the features, in the order of the centres."""
    shape_scales: dict[str, tuple[Number, Annotated[Number, Field(gt=0)]]]
    """Median and spread of each shape over the cells of the fit; the other columns are scaled by slide."""
    clusters: tuple[Cluster, ...] = Field(min_length=2, max_length=MAX_CLUSTERS)
    slides: tuple[FittedSlide, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        size = len(self.columns)
        if [one.name for one in self.clusters] != list(CLUSTERS.names[: len(self.clusters)]):
            raise ValueError("the clusters are not named Cluster 1, Cluster 2 and so on")
        if set(self.shape_scales) != set(self.columns) & set(SHAPE):
            raise ValueError("shape_scales does not have exactly the columns of shape")
        for one in self.clusters:
            _require_sizes(one, size, mixture=self.method == "gmm")
        return self

    @property
    def stain_columns(self) -> tuple[str, ...]:
        """Columns that each slide has its own scale of."""
        return tuple(name for name in self.columns if name not in self.shape_scales)

    def scales(self, of_slide: Mapping[str, Scale]) -> dict[str, Scale]:
        """Scale of every column on a slide, in order, from those of its stain columns."""
        return {
            name: Scale(*self.shape_scales[name]) if name in self.shape_scales else of_slide[name]
            for name in self.columns
        }

    def assign(self, features: Floats) -> npt.NDArray[np.intp]:
        """Index of the cluster of each cell from its (N, F) scaled features; (N,).

        The nearest centre, or the Gaussian under which it is most likely; each row by itself.
        """
        costs = np.stack([self._cost(features, one) for one in self.clusters], axis=1)
        nearest: npt.NDArray[np.intp] = np.argmin(costs, axis=1)
        return nearest

    def distances(self, features: Floats, clusters: npt.NDArray[np.intp]) -> Floats:
        """Distance of each cell from the centre of its cluster, scaled features; (N,)."""
        centers = np.array([one.center for one in self.clusters])
        found: Floats = np.sqrt(((features - centers[clusters]) ** 2).sum(axis=1))
        return found

    def _cost(self, features: Floats, cluster: Cluster) -> Floats:
        """Squared distance; of a Gaussian minus twice its weighted log density, but for what all have in common."""
        away: Floats = features - np.array(cluster.center)
        if cluster.precision_cholesky is None or cluster.weight is None:
            squared: Floats = (away**2).sum(axis=1)
            return squared
        factor = np.array(cluster.precision_cholesky)
        # Summed by NumPy and not by BLAS, whose rounding may depend on how many rows come together.
        white = (away[:, :, None] * factor).sum(axis=1)
        cost: Floats = (white**2).sum(axis=1) - 2 * np.log(np.diag(factor)).sum() - 2 * np.log(cluster.weight)
        return cost

    def encoded(self) -> bytes:
        """Content of its file."""
        table = self.model_dump(mode="json")
        return orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

    def sha256(self) -> str:
        """Hash of its content, hexadecimal; the same for the same model, however its file is laid out."""
        return hashlib.sha256(self.encoded()).hexdigest()

    def require_columns(self, columns: Sequence[str], *, where: object) -> None:
        """Raise `CheckpointError` where a slide's features are not those of the model."""
        if set(columns) != set(self.columns):
            lacking, other = set(self.columns) - set(columns), set(columns) - set(self.columns)
            raise CheckpointError(
                f"{where}: the model compares cells by {', '.join(self.columns)}; this slide has "
                f"{', '.join(sorted(other)) or 'nothing else'} and lacks {', '.join(sorted(lacking)) or 'nothing'}: "
                "fit a model on slides of the same stain and configuration"
            )


def _require_sizes(cluster: Cluster, size: int, *, mixture: bool) -> None:
    factor = cluster.precision_cholesky
    if len(cluster.center) != size:
        raise ValueError(f"{cluster.name}: its centre has {len(cluster.center)} features of {size}")
    if mixture != (factor is not None) or mixture != (cluster.weight is not None):
        raise ValueError(f"{cluster.name}: weight and precision_cholesky go with method gmm, and only with it")
    if factor is not None and not _is_triangle(factor, size):
        raise ValueError(f"{cluster.name}: precision_cholesky is not upper triangular of {size} x {size}")


def _is_triangle(factor: tuple[Row, ...], size: int) -> bool:
    if [len(row) for row in factor] != [size] * size:
        return False
    table = np.array(factor)
    return bool((np.diag(table) > 0).all() and (np.tril(table, -1) == 0).all())


def save_model(path: Path, model: PhenotypeModel) -> None:
    """Write a model; it appears complete or not at all, and one that is there is never replaced.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    try:
        write_once(path, lambda draft: _write(draft, model.encoded()))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def load_model(path: Path) -> PhenotypeModel:
    """Read a model and check all of it.

    Raises
    ------
    CheckpointError
        It is missing, damaged, or of another kind or version.
    """
    try:
        table: Any = orjson.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read as a model: {short_reason(error)}") from None
    found = table.get("format") if isinstance(table, dict) else None
    if found != FORMAT:
        raise CheckpointError(f"{path}: expected a model of wsipsm classify --fit, got the format {found!r}")
    if table.get("version") != VERSION:
        raise CheckpointError(
            f"{path}: the model has version {table.get('version')!r} of its format, this wsipsm reads {VERSION}: "
            "fit it again, or use the wsipsm that fitted it"
        )
    try:
        return PhenotypeModel.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the model"
        raise CheckpointError(f"{path}: damaged: {place}: {first['msg']}") from None

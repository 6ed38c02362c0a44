"""Base class of all sections of a configuration, and what a key can be for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Purpose = Literal["segmenter", "psm", "learning", "training", "export", "schedule"]
"""What a key can change.

``segmenter``, ``psm``: the cells of a run by that method; ``learning``: the cells of a run by psm that learns its
network on the slide; ``training``: a training; ``export``: the files made from the cells; ``schedule``: how work is
handed out.
"""

RUNS: frozenset[Purpose] = frozenset({"segmenter", "psm"})


class Section(BaseModel):
    """Base of all sections: immutable; an unknown key is an error; the docstring below a key is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)

    purposes: ClassVar[frozenset[Purpose]] = RUNS | {"training"}
    """What the keys can change, except those in ``other_purposes``."""
    other_purposes: ClassVar[Mapping[str, frozenset[Purpose]]] = {}
    renamed_keys: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions, as ``section.key``, and what they are called now."""

    def keys_for(self, purposes: Collection[Purpose]) -> dict[str, Any]:
        """Values of the keys that have one of the purposes, JSON-ready."""
        return {
            key: value
            for key, value in self.model_dump(mode="json").items()
            if not self.other_purposes.get(key, self.purposes).isdisjoint(purposes)
        }


AnySection = TypeVar("AnySection", bound=Section)

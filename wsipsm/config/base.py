"""Base class of all sections of a configuration, and what a key can be for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Purpose = Literal["segmenter", "psm", "learning", "training", "export", "schedule"]
"""What a key can change: the cells of a run by either method, or by a network learnt on the slide; a training; the
files made from the cells; nothing but how work is handed out."""

RUNS: frozenset[Purpose] = frozenset({"segmenter", "psm"})


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error; each says what its keys are for."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    purposes: ClassVar[frozenset[Purpose]] = RUNS | {"training"}
    """What the keys are for, unless ``other_purposes`` says otherwise."""
    other_purposes: ClassVar[Mapping[str, frozenset[Purpose]]] = {}

    def keys_for(self, purposes: Collection[Purpose]) -> dict[str, Any]:
        """Keys for one of the purposes and their values, JSON-ready."""
        return {
            key: value
            for key, value in self.model_dump(mode="json").items()
            if not self.other_purposes.get(key, self.purposes).isdisjoint(purposes)
        }


AnySection = TypeVar("AnySection", bound=Section)

"""What a check found: kinds of problems, how often each occurs and where it occurs first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

LONGEST_DETAIL = 80
"""Characters of a detail that are kept."""


class Severity(StrEnum):
    """How bad a problem is; the first two make a file bad."""

    ABORT = "abort"
    """Nothing of the file is imported."""
    WRONG = "wrong"
    """All is imported, but something not as it was meant."""
    MINOR = "minor"
    """It is imported slowly, or a part is skipped with a warning."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of problem.

    Attributes
    ----------
    key : str
        Its name.
    severity : Severity
        How bad it is.
    says : str
        What happens, one sentence without its full stop.
    do : str
        What to do, likewise.
    since : str
        First version of QuPath that it concerns; empty: all.
    """

    key: str
    severity: Severity
    says: str
    do: str
    since: str = ""


@dataclass(slots=True)
class Finding:
    """A kind of problem that occurs in a file.

    Attributes
    ----------
    rule : Rule
        The kind.
    count : int
        How often.
    first : int or None
        Number of the first feature that has it, from 0; None: the file as a whole.
    first_id : str
        Id of that feature; empty where it has none.
    detail : str
        What was found there.
    """

    rule: Rule
    count: int
    first: int | None
    first_id: str
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "rule": self.rule.key,
            "severity": self.rule.severity.value,
            "count": self.count,
            "first_feature": self.first,
            "first_id": self.first_id,
            "detail": self.detail,
            "says": self.rule.says,
            "do": self.rule.do,
            "qupath_since": self.rule.since,
        }

    @property
    def line(self) -> str:
        """One line for the screen."""
        place = "" if self.first is None else f", first at feature {self.first}"
        place += f" ({self.first_id})" if self.first_id else ""
        since = f" (QuPath {self.rule.since} and later)" if self.rule.since else ""
        found = f" [{self.detail}]" if self.detail else ""
        what = f"{self.rule.severity:<5} {self.rule.key}: {self.count:,} x{place}{found}"
        return f"{what}: {self.rule.says}{since}; {self.rule.do}"


@dataclass(slots=True)
class Report:
    """All that was found in one file or store.

    Attributes
    ----------
    path : Path
        What was checked.
    kind : str
        ``geojson`` or ``labels``.
    objects : int
        Features or cells seen.
    findings : dict of str to Finding
        By the key of the rule.
    mended : Counter of str
        What was mended, in words; only where that was asked for.
    dropped : int
        Features that could not be mended.
    written : Path or None
        The mended file.
    """

    path: Path
    kind: str
    objects: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)
    mended: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    written: Path | None = None

    def add(
        self, rule: Rule, detail: str = "", *, first: int | None = None, first_id: str = "", count: int = 1
    ) -> None:
        """Count a problem; the first place of each kind is kept.

        Parameters
        ----------
        rule : Rule
            That is broken.
        detail : str
            What was found, for people.
        first : int, optional
            Number of the feature.
        first_id : str
            Its id, where it has one.
        count : int
            How often at once.
        """
        if known := self.findings.get(rule.key):
            known.count += count
            return
        self.findings[rule.key] = Finding(rule, count, first, first_id[:LONGEST_DETAIL], detail[:LONGEST_DETAIL])

    @property
    def good(self) -> bool:
        """Whether nothing is worse than minor."""
        return all(one.rule.severity is Severity.MINOR for one in self.findings.values())

    @property
    def sorted_findings(self) -> list[Finding]:
        """Findings, the worst first, then the most frequent."""
        order = list(Severity)
        return sorted(self.findings.values(), key=lambda one: (order.index(one.rule.severity), -one.count))

    def to_dict(self) -> Mapping[str, Any]:
        """All of it, ready for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "objects": self.objects,
            "good": self.good,
            "findings": [one.to_dict() for one in self.sorted_findings],
            "mended": dict(self.mended),
            "dropped": self.dropped,
            "written": None if self.written is None else str(self.written),
        }

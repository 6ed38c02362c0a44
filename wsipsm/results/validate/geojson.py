"""Check of a GeoJSON file against QuPath's importer, in bounded memory, and the mended copy of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.results.formats.feature_file import FeatureFile
from wsipsm.results.validate import checks
from wsipsm.results.validate.feature import Feature, parse_feature
from wsipsm.results.validate.files import FILE_RULES, MANY_ANNOTATIONS, MANY_OBJECTS
from wsipsm.results.validate.mend import Mender
from wsipsm.results.validate.report import Report
from wsipsm.results.validate.rules import RULES
from wsipsm.results.validate.shapes import STRUCTURE, Shapes, StructureError
from wsipsm.results.validate.stream import FeatureStream

BATCH = 2000
"""Features that are looked at together."""
MOST_CLASSES = 100_000
"""Classes whose colours are remembered."""


def check_geojson(path: Path, *, fix: Path | None = None) -> Report:
    """Say what QuPath makes of a file.

    Parameters
    ----------
    path : Path
        GeoJSON of any size and any tool, gzipped or not.
    fix : Path, optional
        Write a mended copy there, ``.geojson`` or ``.geojson.gz``; only a whole file gets this name.

    Returns
    -------
    Report

    Raises
    ------
    OutputError
        The file cannot be read, or the copy not written.
    """
    stream = FeatureStream(path)
    checker = _Checker(Report(path, "geojson"))
    with nullcontext() if fix is None else FeatureFile(fix) as target:
        mender = None if target is None else Mender(target, checker.report)
        texts = iter(stream)
        while batch := list(islice(texts, BATCH)):
            flagged = checker.check(batch)
            if mender is not None:
                mender.write(batch, flagged)
    checker.end(stream)
    checker.report.written = fix
    return checker.report


class _Checker:
    """Counts what is wrong with features, batch by batch."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._ids = array("q")
        self._colors: dict[str, list[int]] = {}
        self._annotations = 0

    def check(self, texts: list[bytes]) -> list[set[str]]:
        """Look at the next features; keys of the rules that each breaks."""
        start, shapes = self.report.objects, Shapes()
        self.report.objects += len(texts)
        features, flagged = [], [set[str]() for _ in texts]
        for i, text in enumerate(texts):
            feature = self._parsed(text, start + i, flagged[i])
            features.append(feature)
            if feature.raw:
                self._properties(feature, start + i, flagged[i])
                self._structure(feature, start, i, flagged[i], shapes)
        for owner, rule in shapes.problems():
            i = owner // 2
            self._add(rule, "", features[i], start + i, flagged[i])
        return flagged

    def _parsed(self, text: bytes, index: int, flags: set[str]) -> Feature:
        try:
            return Feature(parse_feature(text))
        except (ValueError, RecursionError) as error:
            feature = Feature(None)
            self._add(FILE_RULES["not_json"], f"feature {index}: {error}", feature, index, flags)
            return feature

    def _properties(self, feature: Feature, index: int, flags: set[str]) -> None:
        for rule, check in RULES:
            if (found := check(feature)) is not None:
                self._add(rule, found, feature, index, flags)
        self._ids.append(hash(feature.id) if feature.id else -1 - index)
        self._annotations += feature.object_type == "annotation"
        color, name = checks.good_color(feature), feature.class_name
        if color is not None and isinstance(name, str) and self._color_of(name, color) != color:
            self._add(FILE_RULES["class_of_two_colors"], name, feature, index, flags)

    def _color_of(self, name: str, color: list[int]) -> list[int]:
        """First colour that a class had."""
        if len(self._colors) < MOST_CLASSES:
            return self._colors.setdefault(name, color)
        return self._colors.get(name, color)

    def _structure(self, feature: Feature, start: int, i: int, flags: set[str], shapes: Shapes) -> None:
        """Look at the geometries of feature ``i`` of a batch; their shapes are looked at later, as 2 i and 2 i + 1."""
        outlines = [(2 * i, feature.raw.get("geometry", {}))]
        if isinstance(feature.raw.get("nucleusGeometry"), dict):
            outlines.append((2 * i + 1, feature.raw["nucleusGeometry"]))
        for owner, outline in outlines:
            if outline is None or (outline == {} and feature.object_type == "root"):
                continue
            try:
                shapes.add(owner, outline)
            except StructureError as error:
                self._add(STRUCTURE[error.args[0]], error.args[1], feature, start + i, flags)

    def _add(self, rule: Any, found: str, feature: Feature, index: int, flags: set[str]) -> None:
        self.report.add(rule, found, first=index, first_id=feature.id)
        flags.add(rule.key)

    def end(self, stream: FeatureStream) -> None:
        """Add what concerns the file as a whole."""
        report = self.report
        for key, detail in [*_name_problems(report.path, stream.gzipped), *stream.problems]:
            report.add(FILE_RULES[key], detail)
        if report.objects > MANY_OBJECTS:
            report.add(FILE_RULES["many_objects"], f"{report.objects:,}")
        if self._annotations > MANY_ANNOTATIONS:
            report.add(FILE_RULES["many_annotations"], f"{self._annotations:,}")
        if not report.objects and not {"not_json", "truncated"} & report.findings.keys():
            report.add(FILE_RULES["no_feature"])
        self._repeated_ids()

    def _repeated_ids(self) -> None:
        ids = np.frombuffer(self._ids, np.int64) if self._ids else np.zeros(0, np.int64)
        order = np.argsort(ids, kind="stable")
        repeated = order[1:][ids[order[1:]] == ids[order[:-1]]]
        if len(repeated):
            self.report.add(FILE_RULES["id_repeated"], first=int(repeated.min()), count=len(repeated))


def _name_problems(path: Path, gzipped: bool) -> Iterator[tuple[str, str]]:
    """Problems of a file's name: QuPath goes by it."""
    name = path.name.lower()
    if not name.endswith((".geojson", ".geojson.gz", ".json")):
        yield "extension", path.suffix
    elif gzipped != name.endswith(".gz"):
        yield "gzip_mismatch", "gzip inside" if gzipped else "no gzip inside"

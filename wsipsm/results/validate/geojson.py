"""Check of a GeoJSON file against QuPath's importer, in bounded memory, and the mended copy of it."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.results.formats.feature_file import FeatureFile
from wsipsm.results.validate import checks
from wsipsm.results.validate.feature import Feature, parse_feature
from wsipsm.results.validate.files import FILE_RULES, MANY_ANNOTATIONS, MANY_OBJECTS
from wsipsm.results.validate.mend import Mender
from wsipsm.results.validate.plain import are_plain
from wsipsm.results.validate.report import Report, Rule
from wsipsm.results.validate.rules import RULES
from wsipsm.results.validate.shapes import GRID, STRUCTURE, Shapes, StructureError
from wsipsm.results.validate.stream import FeatureStream, Piece

BATCH = 120
"""Features that are looked at together; the lists of more do not stay in the cache of the processor."""
MOST_KINDS = 10_000
"""Kinds of features of which is remembered what rules they break."""
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
    with _no_search_for_cycles(), nullcontext() if fix is None else FeatureFile(fix) as target:
        mender = None if target is None else Mender(target, checker.report)
        pieces = iter(stream)
        while batch := list(islice(pieces, BATCH)):
            flagged = checker.check(batch)
            if mender is not None:
                mender.write([piece.text for piece in batch], flagged)
    checker.end(stream)
    checker.report.written = fix
    return checker.report


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """No collection of reference cycles: parsed JSON has none, and a sixth of the time went into looking for them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Checker:
    """Counts what is wrong with features, batch by batch."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self._ids = array("q")
        self._colors: dict[str, list[int]] = {}
        self._found: dict[tuple[Any, ...], list[tuple[Rule, str]]] = {}
        self._annotations = 0

    def check(self, pieces: list[Piece]) -> list[set[str]]:
        """Look at the next features; keys of the rules that each breaks."""
        start = self.report.objects
        self.report.objects += len(pieces)
        features, flagged = [], [set[str]() for _ in pieces]
        for i, piece in enumerate(pieces):
            feature = self._parsed(piece, start + i, flagged[i])
            features.append(feature)
            if feature.raw:
                self._properties(feature, start + i, flagged[i])
        self._outlines(features, start, flagged)
        return flagged

    def _parsed(self, piece: Piece, index: int, flags: set[str]) -> Feature:
        if piece.content is not None:
            return Feature(piece.content)
        try:
            return Feature(parse_feature(piece.text))
        except (ValueError, RecursionError) as error:
            feature = Feature(None)
            self._add(FILE_RULES["not_json"], f"feature {index}: {error}", feature, index, flags)
            return feature

    def _properties(self, feature: Feature, index: int, flags: set[str]) -> None:
        known = feature.id
        self._ids.append(hash(known) if known else -1 - index)
        self._annotations += feature.object_type == "annotation"
        kind = checks.usual_kind(feature)
        if (found := None if kind is None else self._found.get(kind)) is None:
            found = [(rule, what) for rule, check in RULES if (what := check(feature)) is not None]
            found += self._other_color(feature)
            if kind is not None and len(self._found) < MOST_KINDS:
                self._found[kind] = found
        for rule, what in found:
            self._add(rule, what, feature, index, flags)

    def _other_color(self, feature: Feature) -> list[tuple[Rule, str]]:
        """What is wrong where its class had another colour before."""
        color, name = checks.good_color(feature), feature.class_name
        if color is None or not isinstance(name, str) or self._color_of(name, color) == color:
            return []
        return [(FILE_RULES["class_of_two_colors"], name)]

    def _color_of(self, name: str, color: list[int]) -> list[int]:
        """First colour that a class had."""
        if len(self._colors) < MOST_CLASSES:
            return self._colors.setdefault(name, color)
        return self._colors.get(name, color)

    def _outlines(self, features: list[Feature], start: int, flagged: list[set[str]]) -> None:
        """Look at the geometries of a batch: first which are plain, the others one by one, their shapes together."""
        outlines, shapes = list(_outlines_of(features)), Shapes()
        plain = are_plain([outline for _, outline in outlines], GRID)
        for number in np.flatnonzero(~plain).tolist():
            i, outline = outlines[number]
            try:
                shapes.add(number, outline)
            except StructureError as error:
                self._add(STRUCTURE[error.args[0]], error.args[1], features[i], start + i, flagged[i])
        for number, rule in shapes.problems():
            i = outlines[number][0]
            self._add(rule, "", features[i], start + i, flagged[i])

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


def _outlines_of(features: list[Feature]) -> Iterator[tuple[int, Any]]:
    """Geometries and nuclei of features, each with the number of its feature."""
    for i, feature in enumerate(features):
        outline, nucleus = feature.raw.get("geometry", {}), feature.raw.get("nucleusGeometry")
        if feature.raw and outline is not None and not (outline == {} and feature.object_type == "root"):
            yield i, outline
        if isinstance(nucleus, dict):
            yield i, nucleus


def _name_problems(path: Path, gzipped: bool) -> Iterator[tuple[str, str]]:
    """Problems of a file's name: QuPath goes by it."""
    name = path.name.lower()
    if not name.endswith((".geojson", ".geojson.gz", ".json")):
        yield "extension", path.suffix
    elif gzipped != name.endswith(".gz"):
        yield "gzip_mismatch", "gzip inside" if gzipped else "no gzip inside"

"""Where results come from: slide, versions, settings, network, calibration, times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsipsm.config import Config, with_new_names
from wsipsm.results import html
from wsipsm.results.report.words import duration, pairs_table, paragraph

_IDLE_SECTIONS = frozenset({"training", "schedule"})
"""Sections that change neither cells nor files of a run."""
_OF_OTHER_METHOD = {
    "segmenter": frozenset({"pseudomask", "pseudolabels"}),
    "psm": frozenset({"segmenter", "labels"}),
}
"""Sections that a method does not read."""
_STAGES = {
    "read": "reading the slide",
    "calibrate": "calibrating to the slide",
    "network": "network",
    "store": "storing maps",
    "load": "loading maps",
    "labels": "telling cells apart",
    "cells": "measuring cells",
    "write_labels": "writing labels",
    "assemble": "writing results",
}


def settings_that_differ(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Key, value and default of each setting of a stored configuration that differs from the built-in default.

    Settings that the method of the run does not read are left out.
    """
    usual, read = Config().model_dump(mode="json"), _read_sections(config)
    found = []
    for section, keys in with_new_names(dict(config)).items():
        if section not in read or not isinstance(keys, dict):
            continue
        default = usual.get(section, {})
        found += [
            (f"{section}.{key}", _text(value), _text(default.get(key)))
            for key, value in keys.items()
            if value != default.get(key)
        ]
    return found


def _read_sections(config: Mapping[str, Any]) -> set[str]:
    """Sections of the configuration that change cells or files of a run by its method."""
    method = config.get("recognizer", {}).get("method")
    return set(config) - _IDLE_SECTIONS - _OF_OTHER_METHOD.get(method, frozenset())


def settings_table(config: Mapping[str, Any]) -> str:
    """Settings that differ from the defaults."""
    differ = settings_that_differ(config)
    if not differ:
        return paragraph("All settings that cells depend on have their defaults.")
    return html.table(["Setting", "Value", "Default"], [list(one) for one in differ], numbers=False)


def provenance(record: Mapping[str, Any]) -> str:
    """Tables of a slide's provenance from its ``run.json``."""
    return "".join(
        [
            "<h3>Slide</h3>",
            pairs_table(_of_slide(record)),
            "<h3>Settings that differ from the defaults</h3>",
            settings_table(record["config"]),
            "<h3>Network and calibration</h3>",
            pairs_table(_of_network(record)),
            "<h3>Software and time</h3>",
            pairs_table(_of_software(record)),
        ]
    )


def versions_line(versions: Mapping[str, str]) -> str:
    """Versions of the packages that numbers depend on, on one line."""
    return ", ".join(f"{name} {version}" for name, version in versions.items() if name not in {"wsipsm", "platform"})


def _of_slide(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    slide, grid = record["slide"], record["grid"]
    return [
        ("File", slide["path"]),
        ("Format", f"{slide['vendor']}, read by {slide['reader']}"),
        ("Size", f"{slide['width_l0']:,} x {slide['height_l0']:,} px"),
        ("Resolution of the slide", f"{slide['mpp_l0']:.4g} µm/px, from {_source(slide['mpp_source'])}"),
        ("Resolution of the work", f"{grid['mpp']:.4g} µm/px"),
        ("Identity of the content", f"{slide['fingerprint'][:16]}…"),
        ("Region searched", f"{record['counts']['mm2']:.3f} mm², in {record['counts']['tiles']:,} tiles"),
    ]


def _source(name: str) -> str:
    return "the user (override)" if name == "override" else f"the file ({name})"


def _of_network(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    network, calibration = record["checkpoint"], record.get("calibration") or {}
    levels, stats = calibration.get("levels") or {}, calibration.get("stats") or {}
    method = "segmenter" if network["recognizer"] == "segmenter" else "pseudo mask, calibrated on the slide (psm)"
    sha = network["checkpoint_sha256"]
    return [
        ("Method", method),
        ("Stain expected", record["config"]["recognizer"]["stain"]),
        ("Checkpoint", network["checkpoint"] or ("shipped with wsipsm" if sha else "learnt on the slide")),
        ("SHA-256 of the checkpoint", f"{sha[:16]}…" if sha else None),
        ("Seed", record["config"]["encoder"]["seed"]),
        ("Nuclei seen to calibrate on", _count(levels.get("cells"))),
        ("Threshold of the distance map", _plain(levels.get("threshold"))),
        ("Input scale", _plain(levels.get("input_scale"))),
        ("Optical density of nuclei", _plain(stats.get("nuclear_od"))),
        ("Stain vectors used", _vectors(stats.get("vectors"))),
        ("Stain vectors seen on the slide", _vectors(stats.get("estimated"))),
        ("Optical density of the background", _vector(stats.get("background"))),
    ]


def _of_software(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    seconds, versions = record["seconds"], record["versions"]
    stages = [f"{_STAGES.get(name, name)} {duration(value)}" for name, value in seconds["workers"].items()]
    return [
        ("wsipsm", versions["wsipsm"]),
        ("Packages", versions_line(versions)),
        ("Platform", versions.get("platform")),
        ("Finished", record["finished"]),
        ("Files made again", record.get("exported")),
        ("Wall time", duration(seconds["wall"])),
        ("Time of workers", ", ".join(stages)),
        ("Hash of all that cells depend on", record["digest"]),
    ]


def _text(value: Any) -> str:
    return "automatic" if value is None else str(value)


def _count(value: Any) -> str | None:
    return None if value is None else f"{value:,}"


def _plain(value: Any) -> str | None:
    return None if value is None else f"{value:.4g}"


def _vector(value: Any) -> str | None:
    return None if not value else " ".join(f"{one:.3f}" for one in value)


def _vectors(value: Any) -> str | None:
    return None if not value else "; ".join(_vector(one) or "" for one in value[:2])

"""Configuration keys of earlier versions, and what they are called now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOVED = (
    *("seed", "widths", "fields", "field_px", "members", "steps", "rounds", "round_steps", "batch", "patch_px"),
    *("learning_rate", "label_threshold", "label_smoothing_um", "min_scale", "max_scale", "stain_jitter", "blur_px"),
    *("noise_od", "trusted_fill", "trusted_contrast", "trusted_area_um2", "trusted_probability", "doubtful_weight"),
    *("likely", "threads"),
)
"""Keys of section ``segmenter`` that section ``training`` has under the same name."""

RENAMED: Mapping[str, str] = {
    "segmenter.depth_smoothing_um": "segmenter.distance_smoothing_um",
    "segmenter.settled_rounds": "training.final_rounds",
    "segmenter.far_rounds": "training.zoom_out_rounds",
    "segmenter.far_scale": "training.zoom_out_scale",
    "segmenter.veil_od": "training.od_shift",
    "segmenter.average": "training.ema_decay",
    "segmenter.label_split_depth": "training.label_split_height",
    "labels.split_depth": "labels.split_height",
    "labels.split=depth": "labels.split=h_maxima",
    "pseudolabels.split_depth": "pseudolabels.split_height",
    "pseudolabels.split=depth": "pseudolabels.split=h_maxima",
    **{f"segmenter.{key}": f"training.{key}" for key in _MOVED},
}
"""Old and new name as ``section.key``; with ``=value`` where it is the value that has another name."""


_DROPPED = {"segmenter.precision"}
"""Keys that no version needs any more."""


def with_new_names(table: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration that an earlier version recorded, JSON-ready, with the names of this version.

    Examples
    --------
    >>> with_new_names({"segmenter": {"threshold": 0.1, "far_scale": 0.5}, "labels": {"split": "depth"}})
    {'segmenter': {'threshold': 0.1}, 'training': {'zoom_out_scale': 0.5}, 'labels': {'split': 'h_maxima'}}
    """
    found: dict[str, Any] = {}
    for section, keys in table.items():
        for key, value in keys.items() if isinstance(keys, dict) else ():
            old = f"{section}.{key}"
            if old in _DROPPED:
                continue
            new, _, new_value = RENAMED.get(f"{old}={value}", RENAMED.get(old, old)).partition("=")
            new_section, _, new_key = new.partition(".")
            found.setdefault(new_section, {})[new_key] = new_value or value
    return found

"""Pairs predictions with ground truths by the stem of the image's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsipsm.core.errors import EvaluationError
from wsipsm.evaluation.groundtruth import SUFFIXES, holds_objects, stem_of, suffix_of
from wsipsm.evaluation.predictions import is_slide_folder, slide_stem


@dataclass(frozen=True, slots=True)
class Pairs:
    """Predictions and ground truths, paired by name.

    Attributes
    ----------
    paths : dict of str to (Path, Path)
        Prediction and truth of each image by name, sorted.
    missing : tuple of str
        Truths without a prediction.
    unused : tuple of str
        Predictions without a truth.
    """

    paths: dict[str, tuple[Path, Path]]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def pair(predictions: Path, truth: Path, *, allow_missing: bool = False) -> Pairs:
    """Pair predictions with truths.

    One prediction and one truth are a pair whatever their names.

    Parameters
    ----------
    predictions, truth : Path
        A file or a folder each.
    allow_missing : bool
        Leave out truths without a prediction.

    Raises
    ------
    EvaluationError
        There is nothing to pair, two files have one name, or a truth has no prediction and ``allow_missing`` is off.
    """
    found, true = find_predictions(predictions), find_truths(truth)
    names, missing, unused = pair_names(found, true, (predictions, truth), allow_missing=allow_missing)
    return Pairs({name: (found[other], true[name]) for name, other in names.items()}, missing, unused)


def pair_names(
    found: Mapping[str, object], true: Mapping[str, object], places: tuple[Path, Path], *, allow_missing: bool = False
) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """Name of the prediction by the name of each truth that has one, sorted; missing and unused names as in `Pairs`.

    Parameters
    ----------
    found, true : mapping
        Predictions and truths by name.
    places : (Path, Path)
        Where they were found: of a file each, the two are a pair whatever their names.
    allow_missing : bool
        Leave out truths without a prediction.

    Raises
    ------
    EvaluationError
        Nothing is common, or a truth has no prediction and ``allow_missing`` is off.
    """
    predictions, truth = places
    if len(found) == len(true) == 1 and truth.is_file() and (predictions.is_file() or is_slide_folder(predictions)):
        return {next(iter(true)): next(iter(found))}, (), ()
    missing, unused = sorted(true.keys() - found.keys()), sorted(found.keys() - true.keys())
    common = sorted(true.keys() & found.keys())
    if not common:
        raise EvaluationError(
            f"no prediction has the name of a truth: {_some(sorted(found))} in {predictions}, {_some(sorted(true))} in "
            f"{truth}"
        )
    if missing and not allow_missing:
        raise EvaluationError(
            f"{len(missing)} of {len(true)} truths have no prediction: {_some(missing)}; make them, or leave them out "
            "with --allow-missing"
        )
    return {name: name for name in common}, tuple(missing), tuple(unused)


def find_predictions(path: Path, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    """Predictions by name: slide folders of an output folder, or files with one of some suffixes.

    The name of a slide folder is the stem of the slide in the run's record, as the folder's may have a hash appended.
    """
    if path.is_dir():
        folders = [path] if is_slide_folder(path) else sorted(one for one in path.iterdir() if is_slide_folder(one))
        if folders:
            return _by_name([(slide_stem(folder), folder) for folder in folders])
    elif path.is_file() and is_slide_folder(path.parent):
        return {slide_stem(path.parent): path}
    return find_files(path, "predictions", suffixes)


def find_truths(path: Path) -> dict[str, Path]:
    """Truths by name: a file, or the files of a folder."""
    return find_files(path, "ground truth")


def find_files(path: Path, what: str, suffixes: Sequence[str] = SUFFIXES) -> dict[str, Path]:
    """Files by stem: a file, or those of a folder, with one of some suffixes; ``what`` they are, for messages.

    Parameters
    ----------
    path : Path
        A file or a folder.
    what : str
        What the files are, for messages.
    suffixes : sequence of str
        Lower case, with the dot.

    Raises
    ------
    EvaluationError
        There is none, or two have one name.
    """
    if path.is_file():
        if not suffix_of(path, suffixes):
            raise EvaluationError(f"{path}: {what}: unknown file format, expected one of {' '.join(suffixes)}")
        return {stem_of(path, suffixes): path}
    if not path.is_dir():
        raise EvaluationError(f"{path}: {what}: no such file or folder")
    files = [one for one in sorted(path.iterdir()) if one.is_file() and holds_objects(one, suffixes)]
    files = [one for one in files if one.name[0] != "."]
    if not files:
        raise EvaluationError(f"{path}: {what}: the folder is empty or holds none of {' '.join(suffixes)}")
    return _by_name([(stem_of(file, suffixes), file) for file in files])


def _by_name(named: list[tuple[str, Path]]) -> dict[str, Path]:
    table: dict[str, Path] = {}
    for name, path in named:
        if name in table:
            raise EvaluationError(f"two files of the name {name}: {table[name]} and {path}; keep one of them")
        table[name] = path
    return table


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

"""What earlier runs left of a slide: whose the folder is, what is done in it, and what is to be removed.

Which tiles of an unfinished slide are done, `tasks.prepare` finds on a worker.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from wsipsm.config import by_key, differences, with_new_names
from wsipsm.core.errors import StaleError, UnseenError
from wsipsm.core.events import NO_INDEX, IndexFigures
from wsipsm.core.files import file_mark, make_folder
from wsipsm.core.lock import run_of, why_unseen
from wsipsm.engine.job import Job, SlideTask
from wsipsm.results.folder import missing_outputs
from wsipsm.slide import fingerprint_of

LEFTOVERS = (".work-*", ".draft-*", ".gone-*")
"""What runs leave in a slide's folder besides its results: scratch, drafts of outputs, and what is being removed."""


def separate_folders(tasks: Sequence[SlideTask], named: set[int]) -> list[SlideTask]:
    """Give slides that would share a folder one each; the owner by name, or else by results in it, keeps it.

    Parameters
    ----------
    tasks : sequence of SlideTask
        All slides of a run.
    named : set of int
        Numbers of the slides whose folder the user named.
    """
    counts = Counter(task.out for task in tasks)
    shared = [(number, task) for number, task in enumerate(tasks) if counts[task.out] > 1]
    keepers = {task.out: number for number, task in shared if _is_owner(task)}
    keepers |= {task.out: number for number, task in shared if number in named}
    return [
        task if counts[task.out] == 1 or keepers.get(task.out) == number else _in_own_folder(task)
        for number, task in enumerate(tasks)
    ]


def require_folder(task: SlideTask) -> None:
    """Raise where the slide's folder is not this run's, or not seen; it would be made here, where nobody looks.

    Raises
    ------
    StaleError
        Another run has begun on it since.
    UnseenError
        This machine does not see it.
    """
    if task.root is None or (latest := run_of(task.root)) == task.run:
        return
    if latest:
        raise StaleError(f"{task.root}: another run has begun since")
    raise UnseenError(why_unseen([task.root], task.run, task.host))


def _is_owner(task: SlideTask) -> bool:
    """Whether the results in a slide's folder, or the unfinished ones, are of the slide at this very path."""
    return os.path.realpath(task.slide) in {os.path.realpath(path) for path, _ in _owners(task.out)}


def _taken(task: SlideTask, fingerprint: str) -> bool:
    """Whether another slide's results, or its unfinished ones, lie in the folder."""
    return any(
        os.path.realpath(path) != os.path.realpath(task.slide) and known != fingerprint
        for path, known in _owners(task.out)
    )


def _owners(out: Path) -> Iterator[tuple[str, str | None]]:
    """Paths of the slides whose results or unfinished ones lie in a folder, with the fingerprint where it is known."""
    for path in (out / "run.json", *out.glob(".work-*/job.json")):
        with contextlib.suppress(KeyError, TypeError):
            table = _read(path) or {}
            owner = table.get("task", table)["slide"]
            yield (owner["path"], owner["fingerprint"]) if isinstance(owner, dict) else (owner, None)


def _in_own_folder(task: SlideTask) -> SlideTask:
    """Task with a folder named after the slide's stem and a hash of its path, which no other slide has."""
    own = f"{task.slide.stem}-{hashlib.sha256(os.path.realpath(task.slide).encode()).hexdigest()[:6]}"
    return replace(task, slide_id=own, out=task.out.parent / own)


@dataclass(frozen=True, slots=True)
class Finished:
    """A slide whose results are there."""

    status: Literal["done", "empty"]
    tiles: int
    cells: int
    mm2: float
    seconds: float
    warnings: tuple[str, ...] = ()
    index: IndexFigures = NO_INDEX


@dataclass(frozen=True, slots=True)
class EarlierWork:
    """What earlier runs did of a slide.

    Attributes
    ----------
    task : SlideTask
        With a folder of its own where another slide has the one it asked for.
    finished : Finished or None
        Its results, where no cell is left to find; with ``task.remake`` files are to be made from them.
    note : str
        Why a finished slide is begun afresh, or which of its outputs are made again, for people; else empty.
    """

    task: SlideTask
    finished: Finished | None = None
    note: str = ""


def look_up(task: SlideTask) -> EarlierWork:
    """Earlier work on a slide; cheap to find where its file did not change since.

    Raises
    ------
    OSError
        The slide is not there, or cannot be read.
    """
    record = _read(task.out / "run.json")
    if record is None and not any(task.out.glob(".work-*/job.json")):
        return EarlierWork(task)
    fingerprint = _fingerprint(task, record)
    if _taken(task, fingerprint):
        own = _in_own_folder(task)
        return look_up(own) if own.slide_id != task.slide_id else EarlierWork(task)
    if record is None or task.fresh:
        return EarlierWork(task)
    return _left_to_do(task, record, fingerprint)


def _left_to_do(task: SlideTask, record: dict[str, Any], fingerprint: str) -> EarlierWork:
    """Earlier work on a slide whose folder holds the record of an earlier run."""
    if record.get("digest") != task.digest(fingerprint):
        return EarlierWork(task, note=_why_afresh(record, fingerprint, task))
    if record.get("status") == "partial":  # goes on with the scratch
        return EarlierWork(task)
    found, lacking = _finished(record), _lacking(record, task)
    if found is None or lacking:
        return EarlierWork(task, note=f"{lacking or 'run.json was changed by hand'}: begun afresh")
    remove(put_aside(task.out))  # of a worker that was killed over this slide while another finished it
    if changed := _to_make_again(record, task):
        note = f"outputs made again from stored cells: {', '.join(changed)}"
        return EarlierWork(replace(task, remake=True), found, note)
    return EarlierWork(task, found)


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        record = orjson.loads(path.read_bytes())
        if isinstance(record, dict):
            return record
    return None


def _fingerprint(task: SlideTask, record: dict[str, Any] | None) -> str:
    """Fingerprint of the slide; that of the record where path, size and time of change are the same."""
    with contextlib.suppress(KeyError, TypeError, OSError):
        known = (record or {})["slide"]
        if known["path"] == str(task.slide) and known["file_mark"] == file_mark(task.slide) and task.slide.is_file():
            return str(known["fingerprint"])
    return fingerprint_of(task.slide)


def _finished(record: dict[str, Any]) -> Finished | None:
    try:
        counts = record["counts"]
        seconds, said = record["seconds"]["wall"], (warnings_of(record), index_of(record))
        found = Finished(record["status"], counts["tiles"], counts["cells"], counts["mm2"], seconds, *said)
    except (KeyError, TypeError):  # somebody changed it
        return None
    return found if found.status in {"done", "empty"} else None


def warnings_of(record: dict[str, Any]) -> tuple[str, ...]:
    """Warnings in the record of a run."""
    return tuple(str(warning) for warning in record.get("warnings", []))


def index_of(record: dict[str, Any]) -> IndexFigures:
    """Index in the record of a run; empty where its cells have no classes."""
    with contextlib.suppress(KeyError, TypeError):
        table = record["index"]["slide"]
        return IndexFigures(**{one.name: table[one.name] for one in fields(IndexFigures)})
    return NO_INDEX


def _why_afresh(record: dict[str, Any], fingerprint: str, task: SlideTask) -> str:
    known = record.get("slide")
    if isinstance(known, dict) and known.get("fingerprint") != fingerprint:
        return "the slide changed since the last run: begun afresh"
    mine, theirs = task.result_keys, record.get("config")
    if isinstance(theirs, dict):
        asked = by_key(mine)  # a record also holds keys that cannot change the cells
        if other := [key for key in differences(mine, with_new_names(theirs)) if key in asked]:
            return f"the configuration changed since the last run ({', '.join(other[:5])}): begun afresh"
    return "the checkpoint, the region, the resolution or the version changed since the last run: begun afresh"


def _lacking(record: dict[str, Any], task: SlideTask) -> str:
    """Output that is asked for and cannot be made from the stored cells, for people; empty where there is none."""
    if lost := [name for name in missing_outputs(task.out) if name != "cells.geojson.gz"]:
        return f"{', '.join(lost)} of the last run is missing"
    stored = _output(record).get("arrays", [])
    if extra := [name for name in task.config.output.arrays if name not in stored]:
        return f"output.arrays asks for {', '.join(extra)}, which the last run did not store"
    return ""


def _to_make_again(record: dict[str, Any], task: SlideTask) -> list[str]:
    """Output options that changed since a finished slide's files were made, or the file that is missing."""
    mine, made = task.config.output.keys_for({"export"}), _output(record)
    kept = {"arrays", "report"}  # neither is made from the stored cells by an export
    changed = [f"output.{key}" for key in mine if key not in kept and made.get(key) != mine[key]]
    return changed or [name for name in missing_outputs(task.out) if name == "cells.geojson.gz"]


def _output(record: dict[str, Any]) -> dict[str, Any]:
    """Output options that a finished slide's files were made with; empty where the record does not say."""
    config = record.get("config")
    output = config.get("output") if isinstance(config, dict) else None
    return output if isinstance(output, dict) else {}


def put_aside(out: Path, keep: Callable[[Path], bool] = lambda _: False) -> list[Path]:
    """Rename leftovers, which takes no time, and return the new paths, to be removed later.

    Parameters
    ----------
    out : Path
        A slide's output folder.
    keep : callable
        Whether a path stays.
    """
    aside = []
    for path in [path for pattern in LEFTOVERS for path in out.glob(pattern)]:
        if not keep(path):
            gone = out / f".gone-{uuid.uuid4().hex}"
            with contextlib.suppress(OSError):  # somebody else was faster
                path.rename(gone)
                aside.append(gone)
    return aside


def has_tiles(path: Path) -> bool:
    """Whether a scratch folder has the maps of a tile or more, from which the next run goes on."""
    return any((path / "mapped").glob("[!.]*"))


def remove(aside: Iterable[Path]) -> None:
    """Delete what was put aside."""
    for path in aside:
        shutil.rmtree(path, ignore_errors=True)


def remove_drafts(task: SlideTask) -> None:
    """Remove outputs of a run that nobody will publish: what workers left that died, were taken for lost or failed."""
    remove(put_aside(task.out, lambda path: not path.name.startswith(task.drafts)))


def make_room(job: Job) -> bool:
    """Keep the scratch of this very job and drop what earlier ones left; returns whether there was unfinished work.

    A slide may be prepared twice in one run, by a worker that was taken for lost too: what the run has begun stays.
    """
    out = make_folder(job.task.out)
    keep_work = not job.task.fresh or job.is_mine()
    dropped = any(path != job.work or not keep_work for path in out.glob(".work-*"))
    remove(put_aside(out, lambda path: path.name.startswith(job.drafts) or (path == job.work and keep_work)))
    return dropped

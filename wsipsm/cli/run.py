"""The commands ``wsipsm run``, ``info`` and ``demo``. Heavy imports stay inside them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import (
    CONFIG,
    DEVICE,
    EXIT_NOTHING,
    EXIT_SOME,
    INPUTS,
    MPP,
    OUT,
    SCHEDULER,
    SETTINGS,
    SLIDE_MPP,
    Device,
    as_settings,
    complete_recipe,
    json_option,
    print_json,
    refuse,
)
from wsipsm.cli.run_rows import print_estimate, result_row


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (run, info, demo):
        app.command()(command)


def run(
    slides: INPUTS,
    out: OUT,
    config: CONFIG = "he",
    settings: SETTINGS = None,
    mpp: MPP = None,
    slide_mpp: SLIDE_MPP = None,
    roi: Annotated[
        Path | None,
        typer.Option(help="GeoJSON polygons as exported from QuPath; only cells inside them are found."),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Refuse cells of a lower confidence; 0.1 by default.")
    ] = None,
    keep_doubtful: Annotated[
        bool, typer.Option("--keep-doubtful", help="Write refused cells too, with the class Doubtful.")
    ] = False,
    expand_um: Annotated[
        float | None,
        typer.Option(min=0.0, max=16.0, help="Grow nuclei by this to whole cells, without overlap, micrometres."),
    ] = None,
    objects: Annotated[str | None, typer.Option(help="GeoJSON geometry: polygons or points.")] = None,
    origin: Annotated[
        str | None, typer.Option(help="GeoJSON frame: qupath (cropped to the slide's bounds as QuPath does) or level0.")
    ] = None,
    device: DEVICE = Device.auto,
    workers: Annotated[int | None, typer.Option(min=1, help="Local worker processes; by default one a core.")] = None,
    scheduler: SCHEDULER = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="Ask a cluster's manager for workers: slurm, slurm-gpu, cuda, kubernetes, or a YAML file of your own "
            "(see wsipsm cluster).",
            autocompletion=complete_recipe,
        ),
    ] = None,
    recognizer: Annotated[
        str | None,
        typer.Option(help="segmenter (default), or psm: the pseudo mask itself, its network trained on each slide."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Segmenter of your own, made by wsipsm train; by default the one shipped."),
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="Encoder or calibration (.safetensors) for --recognizer psm, instead of training on each slide."
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the results of earlier runs and start over.")] = False,
    stage_dir: Annotated[
        Path | None,
        typer.Option(help="Folder on a fast disk: slides are copied there ahead of their turn, and removed after it."),
    ] = None,
    stage_gb: Annotated[float, typer.Option(min=0.0, help="Most gigabytes of such copies at a time.")] = 50.0,
    log_json: Annotated[
        Path | None, typer.Option(help="Append every event of the run to this file, one JSON object a line.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    as_json: Annotated[
        bool,
        json_option(
            "a list, a slide each: slide, folder, status, error, cells, mm2, warnings; with --dry-run: slide, mm2, "
            "tiles, mpx, seconds, gigabytes, error."
        ),
    ] = False,
) -> None:
    """Find the cells of slides: GeoJSON for QuPath, GeoParquet, label pyramid, overview.

    OUT gets a folder for each slide. A run that was stopped or killed resumes with the same command. A manifest has a
    column slide and optionally mpp, roi, config, id and out. Exit codes: 0 all done, 1 nothing could be done or the run
    could not go on (disk full, scheduler lost), 2 some slides failed (see failed.csv), 130 or 143 stopped.

    For example:

      wsipsm run slide.svs -o out

      wsipsm run archive/ -o out --workers 8

      wsipsm run manifest.csv -o out --scheduler scheduler.json

      wsipsm run archive/ -o out --cluster slurm.yaml

      wsipsm run field.png -o out --slide-mpp 0.25

      wsipsm run slide.svs -o out --roi annotations.geojson

      wsipsm run slide.svs -o out --expand-um 3
    """
    if scheduler is not None and cluster is not None:
        refuse("--scheduler joins a running cluster, --cluster starts one: give one of them")
    if encoder is not None and checkpoint is not None:
        refuse("--encoder goes with --recognizer psm and --checkpoint with the segmenter: give one of them")
    options = {
        "recognizer.method": recognizer or ("psm" if encoder is not None else None),
        "grid.mpp": mpp,
        "cells.min_confidence": min_confidence,
        "cells.keep_doubtful": keep_doubtful or None,
        "cells.expand_um": expand_um,
        "schedule.workers": workers,
        "output.objects": objects,
        "output.origin": origin,
    }
    overrides = [*(settings or []), *as_settings(options)]
    asked: dict[str, Any] = {
        "config": config,
        "settings": overrides,
        "slide_mpp": slide_mpp,
        "roi": roi,
        "checkpoint": checkpoint or encoder,
        "device": device.value,
        "scheduler": scheduler,
        "cluster": cluster,
        "fresh": fresh,
        "stage_dir": stage_dir,
        "stage_gb": stage_gb,
    }
    if dry_run:
        print_estimate(slides, out, asked, as_json=as_json)
    else:
        _run(slides, out, asked, log_json, as_json=as_json)


def info(
    slide: Annotated[Path, typer.Argument(help="A slide.")],
    slide_mpp: SLIDE_MPP = None,
    estimate_mpp: Annotated[
        bool,
        typer.Option(
            "--estimate-mpp",
            help="Also estimate micrometres per pixel from the nuclei (H&E), and how uncertain that is; takes seconds. "
            "No command uses the estimate by itself.",
        ),
    ] = False,
    as_json: Annotated[bool, json_option("the facts by name.")] = False,
) -> None:
    """Describe a slide: levels, micrometres per pixel and where found, bounds, vendor, associated images.

    For example:

      wsipsm info slide.svs

      wsipsm info field.png --estimate-mpp
    """
    from wsipsm.slide import describe_file

    facts = describe_file(slide, mpp=slide_mpp)
    if estimate_mpp:
        facts["mpp_by_nuclei"] = _estimated_mpp(slide)
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)


def _estimated_mpp(slide: Path) -> dict[str, Any] | str:
    from wsipsm.config import load_config
    from wsipsm.core.errors import FitError
    from wsipsm.engine.slide_resolution import estimate_mpp

    try:
        return asdict(estimate_mpp(slide, load_config("he")))
    except FitError as error:
        return f"none: {error}"


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")] = Path("demo"),
    slide: Annotated[
        Path | None, typer.Option(help="A slide of your own; by default the H&E field that comes with TIAToolbox.")
    ] = None,
) -> None:
    """Find the cells of a sample field and print where the results are."""
    from wsipsm.slide.sample import HE_FIELD_MPP, he_field

    path, slide_mpp = (slide, None) if slide is not None else (he_field(), HE_FIELD_MPP)
    _run([str(path)], out, {"slide_mpp": slide_mpp})
    results = out / path.stem
    print(f"Look at {results / 'overview.png'} first.")
    print(f"Open {path} in QuPath and drag {results / 'cells.geojson.gz'} onto it: cells sit on the nuclei.")


def _run(
    slides: list[str], out: Path, asked: dict[str, Any], log_json: Path | None = None, *, as_json: bool = False
) -> None:
    from wsipsm.engine.early import started_if_likely

    local = not (asked.get("scheduler") or asked.get("cluster"))
    config, settings = asked.get("config", "he"), asked.get("settings", ())
    with started_if_likely(slides, out, config=config, settings=settings, local=local):
        _run_here(slides, out, asked, log_json, as_json=as_json)


def _run_here(slides: list[str], out: Path, asked: dict[str, Any], log_json: Path | None, *, as_json: bool) -> None:
    from rich.console import Console

    from wsipsm import api
    from wsipsm.cli.progress import progress
    from wsipsm.core.events import combine
    from wsipsm.engine.cluster import end_process
    from wsipsm.engine.event_log import event_log

    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        observers = [stack.enter_context(progress(console))]
        if log_json is not None:
            observers.append(stack.enter_context(event_log(log_json)))
        stop = stack.enter_context(api.Stop().on_signals(end_process))
        results = api.run(slides, out, **asked, on_event=combine(*observers), stop=stop)
    usable = [result for result in results if result.status != "failed"]
    if as_json:
        _print_or_explain(out, lambda: print_json([result_row(result) for result in results]))
    else:
        _print_or_explain(out, lambda: [print(result.folder) for result in usable])
    incomplete = sum(result.status not in {"done", "empty"} for result in results)
    if incomplete:
        listed = out / "failed.csv"
        console.print(f"{incomplete} of {len(results)} slides failed or are incomplete, see {listed}", markup=False)
        raise typer.Exit(EXIT_SOME if usable else EXIT_NOTHING)


def _print_or_explain(out: Path, print_results: Callable[[], object]) -> None:
    """Print where results are; that this fails does not make the run fail, as all of it is done."""
    try:
        print_results()
        sys.stdout.flush()
    except OSError as error:
        print(f"wsipsm: stdout cannot be written ({error.strerror}); the results are in {out}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails once more as it ends


def _print_facts(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
            print(f"{name}: {' '.join(map(str, value)) or 'none'}")
        elif isinstance(value, list | dict):
            print(f"{name}:" if value else f"{name}: none")
            rows = value.items() if isinstance(value, dict) else enumerate(value)
            for key, row in rows:
                text = ", ".join(f"{k} {v}" for k, v in row.items()) if isinstance(row, dict) else row
                print(f"  {key}: {text}")
        else:
            print(f"{name}: {value}")

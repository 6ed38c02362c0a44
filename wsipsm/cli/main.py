"""Command line. Heavy imports stay inside the commands, so that ``--help`` is instant."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import click
import typer

from wsipsm import __version__
from wsipsm.cli.archive import register as register_archive
from wsipsm.cli.config import register as register_config
from wsipsm.cli.evaluate import register as register_evaluate
from wsipsm.cli.train import register as register_train
from wsipsm.core.errors import StoppedError, WsipsmError, how_to_go_on

app = typer.Typer(
    name="wsipsm",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Recognise every cell of a whole-slide image without a single annotation.\n\n"
    "Start with [bold]wsipsm run slide.svs -o out[/bold], then drag out/slide/cells.geojson.gz onto the slide in "
    "QuPath.",
)

EXIT_NOTHING, EXIT_SOME, EXIT_SIGNAL = 1, 2, 128
"""Exit codes: nothing could be done, or the run could not go on; some slides or tiles failed and are listed; 128 and
the signal that stopped it."""

INPUTS = Annotated[
    list[str],
    typer.Argument(
        metavar="SLIDE...", help="Slides, folders (searched recursively), quoted globs, or manifests (.csv, .parquet)."
    ),
]
SLIDE_MPP = Annotated[
    float | None,
    typer.Option(
        help="Micrometres per pixel of the slide itself, where its file does not say or is wrong (0.25 = 40x)."
    ),
]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        print(f"wsipsm {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
    if version:
        raise typer.Exit


@app.command()
def run(
    slides: INPUTS,
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder; one folder a slide is made in it.")],
    config: Annotated[str, typer.Option(help="Name of a packaged configuration, or a YAML file.")] = "he",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one key, e.g. tiles.core_px=512; repeatable."),
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="Working resolution, micrometres per pixel.")] = None,
    slide_mpp: SLIDE_MPP = None,
    roi: Annotated[
        Path | None, typer.Option(help="GeoJSON polygons as exported from QuPath; cells are sought inside them only.")
    ] = None,
    objects: Annotated[str | None, typer.Option(help="GeoJSON geometry: polygons or points.")] = None,
    origin: Annotated[
        str | None, typer.Option(help="GeoJSON frame: qupath (cropped to the slide's bounds as QuPath does) or level0.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Local worker processes; by default one a core.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Existing Dask scheduler: tcp://host:port or a scheduler file.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPE",
            help="Ask a cluster's manager for workers: slurm, slurm-gpu, cuda, kubernetes, or a YAML file of your own "
            "(see wsipsm cluster).",
        ),
    ] = None,
    recognizer: Annotated[
        str | None,
        typer.Option(help="segmenter (default), or psm: the pseudo mask itself, its network learnt on each slide."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Segmenter of your own (model.pt of wsipsm train); by default the one shipped.")
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint (encoder.pt or calibration.pt) for --recognizer psm, instead of learning on each slide."
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop what earlier runs left and start anew.")] = False,
    stage_dir: Annotated[
        Path | None,
        typer.Option(help="Folder on a fast disk: slides are copied there ahead of their turn, and removed after it."),
    ] = None,
    stage_gb: Annotated[float, typer.Option(min=0.0, help="Most gigabytes of such copies at a time.")] = 50.0,
    log_json: Annotated[
        Path | None, typer.Option(help="Append one JSON object a line for every event of the run to this file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Find the cells of slides: GeoJSON for QuPath, GeoParquet, label pyramid, overview.

    A run that was stopped or killed goes on with the same command. A manifest has a column slide and, if wanted, mpp,
    roi, config, id and out. Exit codes: 0 all done, 1 nothing could be done or the run could not go on (disk full,
    scheduler lost), 2 some slides failed (see failed.csv), 130 or 143 stopped.

    For example:

      wsipsm run slide.svs -o out

      wsipsm run archive/ -o out --workers 8

      wsipsm run manifest.csv -o out --scheduler scheduler.json

      wsipsm run archive/ -o out --cluster slurm.yaml

      wsipsm run field.png -o out --slide-mpp 0.25

      wsipsm run slide.svs -o out --roi annotations.geojson
    """
    from wsipsm.config import load_config, load_recipe
    from wsipsm.engine.request import Request

    if scheduler is not None and cluster is not None:
        _refuse("--scheduler is a cluster that is there, --cluster one that is started: give one of them")
    if encoder is not None and checkpoint is not None:
        _refuse("--encoder goes with --recognizer psm and --checkpoint with the segmenter: give one of them")
    recognizer = recognizer or ("psm" if encoder is not None else None)
    named = {
        "recognizer.method": recognizer,
        "grid.mpp": mpp,
        "schedule.workers": workers,
        "output.objects": objects,
        "output.origin": origin,
    }
    overrides = [*(settings or []), *(f"{key}={value}" for key, value in named.items() if value is not None)]
    if device not in {"auto", "cpu", "cuda"}:
        _refuse(f"--device {device}: expected auto, cpu or cuda")
    request = Request(
        inputs=slides,
        out=out,
        config=load_config(config, tuple(overrides)),
        slide_mpp=slide_mpp,
        roi=roi,
        device=device,
        scheduler=scheduler,
        recipe=load_recipe(cluster) if cluster else None,
        checkpoint=checkpoint or encoder,
        fresh=fresh,
        settings=overrides,
        stage_dir=stage_dir,
        stage_gb=stage_gb,
    )
    if dry_run:
        _print_estimate(request)
    else:
        _run(request, log_json)


@app.command()
def info(
    slide: Annotated[Path, typer.Argument(help="A slide.")],
    slide_mpp: SLIDE_MPP = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a slide is: levels, micrometres per pixel and where found, bounds, vendor, associated images."""
    from wsipsm.slide import describe_file

    facts = describe_file(slide, mpp=slide_mpp)
    if as_json:
        import orjson

        print(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
    else:
        _print_facts(facts)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Output folder.")] = Path("demo"),
    slide: Annotated[
        Path | None, typer.Option(help="A slide of your own; by default the H&E field that comes with TIAToolbox.")
    ] = None,
) -> None:
    """Run the main job with nothing to prepare and say where the results are."""
    from wsipsm.config import Config
    from wsipsm.engine.request import Request
    from wsipsm.slide.sample import HE_FIELD_MPP, he_field

    path, slide_mpp = (slide, None) if slide is not None else (he_field(), HE_FIELD_MPP)
    _run(Request(inputs=[str(path)], out=out, config=Config(), slide_mpp=slide_mpp))
    results = out / path.stem
    print(f"Look at {results / 'overview.png'} first.")
    print(f"Open {path} in QuPath and drag {results / 'cells.geojson.gz'} onto it: cells sit on the nuclei.")


register_evaluate(app)
register_train(app)
register_archive(app)
register_config(app)


def _run(request: Any, log_json: Path | None = None) -> None:
    from rich.console import Console

    from wsipsm.cli.progress import reporter
    from wsipsm.engine.cluster import Stop
    from wsipsm.engine.events import logged
    from wsipsm.engine.pipeline import run as run_pipeline

    console = Console(stderr=True)
    with reporter(console) as shown, logged(log_json, shown) as told, Stop().on_signals() as stop:
        states = run_pipeline(request, told, stop)
    good = [state for state in states if state.status in {"done", "empty"}]
    for state in states:
        if state.status != "failed":
            print(state.out)
    if len(good) < len(states):
        listed = request.out / "failed.csv"
        console.print(
            f"{len(states) - len(good)} of {len(states)} slides failed or are incomplete, see {listed}", markup=False
        )
        usable = any(state.status != "failed" for state in states)
        raise typer.Exit(EXIT_SOME if usable else EXIT_NOTHING)


def _print_estimate(request: Any) -> None:
    from wsipsm.engine.estimate import estimate

    rows = estimate(request)
    for row in rows:
        if row.error:
            print(f"{row.slide}: cannot be processed: {row.error}")
        else:
            print(
                f"{row.slide}: {row.mm2:.2f} mm² of tissue, {row.tiles} tiles ({row.mpx:.1f} Mpx), "
                f"about {row.seconds:.0f} s and {row.gigabytes:.2f} GB"
            )
    good = [row for row in rows if not row.error]
    print(
        f"{len(good)} of {len(rows)} slides, {sum(row.mm2 for row in good):.2f} mm², {sum(row.tiles for row in good)} "
        f"tiles, about {sum(row.seconds for row in good) / 60:.1f} min and {sum(row.gigabytes for row in good):.2f} GB"
    )
    if len(good) < len(rows):
        raise typer.Exit(EXIT_SOME if good else EXIT_NOTHING)


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


def _refuse(message: str, code: int = EXIT_NOTHING) -> NoReturn:
    print(f"wsipsm: {message}", file=sys.stderr)
    raise SystemExit(code)


def main() -> None:
    """Run the command line; a mistake of usage or an error of ours is one line and exit code 1."""
    advice = how_to_go_on(fresh="--fresh" in sys.argv)
    try:
        code = app(standalone_mode=False)
    except click.UsageError as error:
        _refuse(f"{error.format_message()} (wsipsm --help)")
    except click.Abort:
        _refuse("stopped")
    except KeyboardInterrupt:
        _refuse(f"stopped at once; {advice}", EXIT_SIGNAL + signal.SIGINT)
    except StoppedError as error:
        _refuse(str(error), EXIT_SIGNAL + error.signal)
    except WsipsmError as error:
        _refuse(" ".join(str(error).split()))
    except OSError as error:
        _refuse(f"{error.filename or 'input'}: {error.strerror or error}")
    if code == EXIT_SIGNAL + signal.SIGINT:
        print(f"wsipsm: stopped; {advice}", file=sys.stderr)
    raise SystemExit(code or 0)


if __name__ == "__main__":
    main()

"""The commands ``wsipsm status``, ``doctor`` and ``cluster``. Heavy imports stay inside them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import EXIT_NOTHING, SCHEDULER, complete_recipe, json_option, print_json

WATCH_SECONDS = 2.0
"""Time between two looks at a run."""
SHOWN_ROWS = 30
"""Most slides in the table on the screen."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (status, doctor, cluster):
        app.command()(command)


def status(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of a run, running or ended.")],
    as_json: Annotated[
        bool,
        json_option(
            "state, slides (number by status), tiles_total, tiles_done, cells, mm2, seconds_left; rows: a slide each."
        ),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Keep the table live until the run ends.")] = False,
) -> None:
    """Show the status of a run: slides by status, tiles, cells, time left; on any machine that sees its output folder.

    For example:

      wsipsm status out --watch

      wsipsm status out --json
    """
    from wsipsm.engine.status import read_status

    if as_json:
        print_json(read_status(out).to_dict())
        return
    from rich.console import Console
    from rich.live import Live

    found, console = read_status(out), Console()
    if not watch:
        console.print(_table(found))
        return
    with contextlib.suppress(KeyboardInterrupt), Live(_table(found), console=console) as live:
        while found.state == "running":
            time.sleep(WATCH_SECONDS)
            found = read_status(out)
            live.update(_table(found))
    console.print()


def doctor(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Output folder to be used: disk space, locks, workers.")
    ] = None,
    scheduler: SCHEDULER = None,
    as_json: Annotated[bool, json_option("a list, a check each: name, good, found.")] = False,
) -> None:
    """Check this machine and a cluster: versions, devices, OpenSlide, Dask, disk, and a self-test of ten seconds.

    Exit code 0 if every check passes, 1 if one fails; its line says what to do.
    """
    from wsipsm.engine.doctor import examine

    checks = []
    for check in examine(out=out, scheduler=scheduler):
        checks.append(check)
        if not as_json:
            print(f"{'ok  ' if check.good else 'FAIL'} {check.name}: {check.found}", flush=True)
    if as_json:
        print_json(checks)
    if not all(check.good for check in checks):
        raise typer.Exit(EXIT_NOTHING)


def cluster(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="slurm, slurm-gpu, cuda, kubernetes, or a YAML file of your own.",
            autocompletion=complete_recipe,
        ),
    ],
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the recipe there, to be adapted to your cluster.")
    ] = None,
) -> None:
    """Show what wsipsm run --cluster RECIPE would submit to a cluster's manager: a job script or a resource.

    For example:

      wsipsm cluster slurm --save mine.yaml

      wsipsm cluster mine.yaml

      wsipsm run archive/ -o out --cluster mine.yaml
    """
    from wsipsm.config import load_recipe, packaged_recipes

    found = load_recipe(recipe)
    if save is not None:
        if save.exists():
            raise typer.BadParameter(f"{save} is there already; choose another name")
        save.write_bytes(packaged_recipes().get(recipe, Path(recipe)).read_bytes())
        print(f"{save}: edit it, look at wsipsm cluster {save}, then wsipsm run ... --cluster {save}")
        return
    from wsipsm.engine.cluster import preview

    print(preview(found), end="")


def _table(found: Any) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    left = f", about {_duration(found.seconds_left)} left" if found.seconds_left is not None else ""
    counts = ", ".join(f"{number} {name}" for name, number in sorted(found.slides.items()))
    title = (
        f"{found.state}: {counts}; {found.tiles_done:,} of {found.tiles_total:,} tiles, {found.cells:,} cells in "
        f"{found.mm2:,.2f} mm²{left}"
    )
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in ("slide", "status", "tiles", "cells", "mm²", "seconds", "error"):
        table.add_column(name, justify="right" if name in {"tiles", "cells", "mm²", "seconds"} else "left")
    first = {"running": 0, "partial": 1, "failed": 1, "stopped": 2, "waiting": 3}
    rows = sorted(found.rows, key=lambda row: first.get(row["status"], 4))
    for row in rows[:SHOWN_ROWS]:
        numbers = (f"{row['tiles_done']}/{row['tiles_total']}", f"{row['cells']:,}", f"{row['mm2']:.2f}")
        table.add_row(row["slide_id"], row["status"], *numbers, f"{row['seconds']:.0f}", row["error"])
    if len(rows) > SHOWN_ROWS:
        table.caption = f"and {len(rows) - SHOWN_ROWS} more, see slides.csv or --json"
    warned = [f"{row['slide_id']}: warning: {row['warnings']}" for row in rows if row["warnings"]]
    more = [f"and {len(warned) - SHOWN_ROWS} more slides with warnings"] if len(warned) > SHOWN_ROWS else []
    return Group(table, *map(Text, [*warned[:SHOWN_ROWS], *more]))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

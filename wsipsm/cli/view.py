"""The command ``wsipsm view``. Heavy imports stay inside it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(view)


def view(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder of a run, or of one slide in it.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 is any that is free.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is reached from other machines, without encryption.")
    ] = "127.0.0.1",
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the link, but open no browser.")] = False,
    slides: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Where the slides lie, if no longer where the run found them; may repeat."),
    ] = None,
) -> None:
    """Look at slides with all their cells in a browser: zoom, colour by measurement, filter, count in drawn regions.

    Works offline, shows nothing outside the output folder and its slides, and may be used while the run goes on: a
    slide that is not done is shown without cells, which appear when it is. The page asks for the link that is printed
    here; press ? in it for its keys, and Ctrl-C here to end. For example:

      wsipsm view out

      wsipsm view out --no-open --port 8000

    On a server, forward the port from your own machine: ssh -L 8000:localhost:8000 SERVER, then open the link.

    Regions drawn in the page are saved as OUT/SLIDE/regions.geojson, for wsipsm run --roi, wsipsm index --roi, wsipsm
    export --roi and QuPath.
    """
    from wsipsm.results.viewer.listing import Listing
    from wsipsm.results.viewer.serve import is_local, open_in_browser, serve

    def announce(link: str) -> None:
        print(f"{link}\nCtrl-C ends it.", flush=True)
        if not no_open:
            open_in_browser(link)

    if not is_local(host):
        print(f"wsipsm: warning: {host} can be reached from other machines, without encryption", file=sys.stderr)
    listing = Listing(out, lambda: _status(out))
    serve(listing, host=host, port=port, slide_folders=tuple(slides or ()), announce=announce)
    sys.stdout.flush()
    os._exit(0)  # at once: a thread may still read from a slow disk, and there is nothing to be finished


def _status(out: Path) -> tuple[str, list[dict[str, Any]]]:
    """State of the run and its rows; none where no run wrote a table, or it is being replaced."""
    from wsipsm.core.errors import InputError
    from wsipsm.engine.status import read_status

    try:
        found = read_status(out)
    except InputError:
        return "", []
    return found.state, found.rows

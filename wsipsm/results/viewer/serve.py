"""Serves the viewer until it is stopped from the keyboard."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from wsipsm.core.errors import ConfigError
from wsipsm.results.viewer.guard import LOOPBACK
from wsipsm.results.viewer.listing import Listing

_HOW_MANY_WAIT = 128


def serve(
    listing: Listing, *, host: str, port: int, slide_folders: tuple[Path, ...], announce: Callable[[str], None]
) -> None:
    """Serve an output folder; returns when the process is interrupted, at once, whatever is being read.

    Parameters
    ----------
    listing : Listing
        Of the output folder.
    host, port : str, int
        Where to listen; port 0 is any that is free.
    slide_folders : tuple of Path
        Where else to look for slides.
    announce : callable
        Receives the link once it can be opened.

    Raises
    ------
    ConfigError
        The address cannot be listened on.
    """
    import uvicorn

    from wsipsm.results.viewer.server import make_app

    token = secrets.token_urlsafe(24)
    app = make_app(listing, token=token, host=host, slide_folders=slide_folders)
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=1, lifespan="off")
    with _listening(host, port) as listener:
        announce(link(host, listener.getsockname()[1], token))
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def link(host: str, port: int, token: str) -> str:
    """Address of the page.

    Parameters
    ----------
    host, port : str, int
        Where it is served; for a host that means every address, the machine's name is taken.
    token : str
        Lets its holder in.

    Examples
    --------
    >>> link("::1", 8000, "secret"), link("0.0.0.0", 80, "secret")[-14:]
    ('http://[::1]:8000/?token=secret', '/?token=secret')
    """
    name = socket.gethostname() if host in {"0.0.0.0", "::", ""} else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/?token={token}"


def is_local(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    return host in LOOPBACK


def open_in_browser(address: str) -> None:
    """Open the page where there is a display, without waiting for the browser."""
    if sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_HOW_MANY_WAIT)
    except OSError as error:
        raise ConfigError(
            f"{host}:{port}: cannot be listened on ({error.strerror or error}); choose another --port, 0 for any"
        ) from None

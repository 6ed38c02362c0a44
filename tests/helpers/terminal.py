"""A command on a terminal, as a user sees it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")
"""An escape sequence that sets a colour; bold, dim and moves of the cursor are none."""


def on_terminal(*command: str | Path, **environment: str) -> bytes:
    """All that a command writes to a terminal that knows colours."""
    keep = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "CI"}}
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        [*map(str, command)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=keep | {"TERM": "xterm-256color"} | environment,
    ):
        os.close(theirs)
        written = b""
        try:
            while part := os.read(mine, 65536):
                written += part
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(mine)
    return written

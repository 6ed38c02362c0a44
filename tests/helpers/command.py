"""The command line: in this process, where what it prints is the point, and as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from wsipsm.cli.main import main

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))
Done = subprocess.CompletedProcess[str]


def wsipsm(*arguments: str | Path) -> Done:
    """Exit code and output of a command that runs in this process, by the function that the script calls."""
    command, out, err = ["wsipsm", *map(str, arguments)], io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            return Done(command, int(ended.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main always exits")


def wsipsm_process(*arguments: str | Path, **options: Any) -> Done:
    """As `wsipsm`, of a process of its own; options as `subprocess.run` takes them."""
    command = [WSIPSM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)


def told_by(code: str, *arguments: str | Path) -> Any:
    """What a program prints as JSON; it gets ``sys.argv[1:]``, and its warnings are ignored."""
    command = [sys.executable, "-W", "ignore", "-c", f"import json, sys\n{code}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

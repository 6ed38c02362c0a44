"""One run at a time on an output folder, whatever becomes of the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsipsm.errors import LockedError
from wsipsm.lock import is_locked, locked

HOLD = """
import sys, pathlib
from wsipsm.lock import locked
with locked([pathlib.Path(sys.argv[1])]):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_that_another_process_holds_is_refused_and_named(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        assert is_locked(tmp_path)
        with pytest.raises(LockedError, match=f"process {process.pid} on .*, since "), locked([tmp_path]):
            pass
        process.communicate("")

    with locked([tmp_path]):
        pass
    assert not is_locked(tmp_path)


def test_the_system_lets_go_of_what_a_killed_process_held(tmp_path: Path) -> None:
    process = holder(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    assert not is_locked(tmp_path)
    with locked([tmp_path]):
        assert is_locked(tmp_path)


def test_of_many_folders_all_or_none_is_held(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()

    with holder(folders[1]) as process:
        with pytest.raises(LockedError, match="b: another run"), locked(folders):
            pass
        assert not is_locked(folders[0])
        assert not is_locked(folders[2])
        process.communicate("")


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked([tmp_path]):
        raise KeyError

    assert not is_locked(tmp_path)

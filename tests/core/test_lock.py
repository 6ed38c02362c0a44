"""One run at a time on an output folder, whatever becomes of the other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsipsm.core.errors import LockedError
from wsipsm.core.lock import HOLDER_FILE, LOCK_FILE, is_locked, locked_trees, run_of

HOLD = """
import sys, pathlib
from wsipsm.core.lock import locked_trees
with locked_trees([pathlib.Path(sys.argv[1])]):
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
        with pytest.raises(LockedError, match=f"process {process.pid} on .*, since "), locked_trees([tmp_path]):
            pass
        process.communicate("")

    with locked_trees([tmp_path]):
        pass
    assert not is_locked(tmp_path)


def test_the_system_lets_go_of_what_a_killed_process_held(tmp_path: Path) -> None:
    process = holder(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    assert not is_locked(tmp_path)
    with locked_trees([tmp_path]):
        assert is_locked(tmp_path)


def test_of_many_folders_all_or_none_is_held(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()

    with holder(folders[1]) as process:
        with pytest.raises(LockedError, match="b: another run"), locked_trees(folders):
            pass
        assert not is_locked(folders[0])
        assert not is_locked(folders[2])
        process.communicate("")


def test_an_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked_trees([tmp_path]):
        raise KeyError

    assert not is_locked(tmp_path)


def test_what_is_above_and_below_is_held_too(tmp_path: Path) -> None:
    inner, beside = tmp_path / "out" / "a", tmp_path / "other"
    inner.mkdir(parents=True)
    beside.mkdir()

    with holder(tmp_path / "out") as process:
        with pytest.raises(LockedError, match=f"out: another run .process {process.pid} "), locked_trees([inner]):
            pass
        with locked_trees([beside]):
            pass
        process.communicate("")
    with holder(inner) as process:
        with pytest.raises(LockedError, match="a: another run"), locked_trees([tmp_path / "out", inner]):
            pass
        process.communicate("")


def test_the_name_of_the_last_run_stays(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert run_of(tmp_path) == ""

    for name in ("first", "second"):
        with locked_trees([tmp_path, tmp_path / "sub"], run=name) as roots:
            assert roots == {tmp_path}

    assert run_of(tmp_path) == "second"
    assert not (tmp_path / "sub" / HOLDER_FILE).exists()


def test_asking_neither_writes_nor_keeps_others_out(tmp_path: Path) -> None:
    with locked_trees([tmp_path]):
        before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        (tmp_path / LOCK_FILE).chmod(0o444)
        assert is_locked(tmp_path)
        assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before

    assert not is_locked(tmp_path)
    assert not (tmp_path / LOCK_FILE).exists()


WITHOUT_LOCKS = """
import errno, fcntl, sys, pathlib
def flock(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")
fcntl.flock = flock  # as on a Lustre that is mounted without locks
from wsipsm.core.errors import OutputError
from wsipsm.core.lock import locked_trees
folder = pathlib.Path(sys.argv[1])
(folder / ".wsipsm.lock").touch()
try:
    with locked_trees([folder]):
        print("held")
except OutputError as error:
    print(error)
print((folder / ".wsipsm.lock").exists())
"""


def test_a_system_without_locks_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_LOCKS, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert "cannot be locked ([Errno 38] Function not implemented)" in said[0]
    assert said[1] == "True", "the lock of another run stays"


@pytest.mark.parametrize("command", ["run", "status", "doctor"])
def test_a_system_without_posix_locks_is_refused_in_one_line(tmp_path: Path, command: str) -> None:
    code = (
        "import sys, filelock, locket  # which have a way of their own on Windows\n"
        "sys.modules['fcntl'] = None\n"
        "from wsipsm.cli.main import main; main()\n"
    )
    arguments = {"run": [tmp_path, "-o", tmp_path], "status": [tmp_path], "doctor": []}[command]

    done = subprocess.run(
        [sys.executable, "-c", code, command, *arguments], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "needs the file locks of a POSIX system" in done.stderr
    assert "WSL" in done.stderr
    assert done.stderr.count("\n") == 1

"""Settings of Dask of another project: a local cluster does without them, and what stops Dask itself is one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.test_cli import assert_refused
from tests.helpers.command import wsipsm, wsipsm_process
from tests.helpers.slide_files import noise


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "a.png"
    Image.fromarray(noise(150, 150)).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "True"),
        ("DASK_DISTRIBUTED__WORKER__PRELOAD", '["nosuchmodule"]'),
        ("DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP", "5s"),
    ],
)
def test_a_local_cluster_does_not_depend_on_them(picture: Path, tmp_path: Path, name: str, value: str) -> None:
    done = wsipsm_process(
        "run", picture, "-o", tmp_path, "--slide-mpp", "0.25", "--workers", "1", env={**os.environ, name: value}
    )

    assert done.returncode == 0, done.stderr


def test_a_broken_file_of_dask_is_named_in_one_line(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("distributed:\n  worker: [broken\n")

    done = wsipsm_process("run", picture, "-o", tmp_path / "out", env={**os.environ, "DASK_CONFIG": str(tmp_path)})

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "bad.yaml" in done.stderr


def test_tls_without_certificates_is_one_line(picture: Path, tmp_path: Path) -> None:
    done = wsipsm("run", picture, "-o", tmp_path, "--slide-mpp", "0.25", "--scheduler", "tls://127.0.0.1:9")

    assert_refused(done, "tls://127.0.0.1:9: it needs certificates, distributed.comm.tls")

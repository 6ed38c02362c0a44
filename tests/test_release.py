"""What is published: wheel and sdist, their content and use, and the files about the project."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import wsipsm
from tests.helpers.imports import MODULES

ROOT = Path(__file__).parent.parent
SOURCES = {
    str(file.relative_to(ROOT))
    for file in (ROOT / "wsipsm").rglob("*")
    if file.is_file() and "__pycache__" not in file.parts
}
OUTSIDE = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}}

CFF_KEYS = {
    *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
    *("license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact"),
    *("repository-code", "title", "type", "url", "version"),
}
"""Keys of a citation file, of the Citation File Format 1.2.0."""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    here = importlib.util.find_spec("hatchling") is not None
    how = ["--no-isolation"] if here else ["--installer", "uv"]  # else from the package index
    command = [sys.executable, "-m", "build", *how, "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=OUTSIDE)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environment with the wheel alone; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    (wheel,) = dist.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "--quiet", wheel], check=True, env=OUTSIDE)
    (site,) = folder.glob("lib/python*/site-packages")
    # As a path only, so that a wsipsm which is installed there for development is not found.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    about = f"wsipsm-{wsipsm.__version__}.dist-info/"

    assert {name for name in names if not name.startswith(about)} == SOURCES
    assert {f"{about}licenses/LICENSE", f"{about}licenses/NOTICE", f"{about}entry_points.txt"} <= names
    assert {
        "wsipsm/py.typed",
        "wsipsm/nuclei/models/he.safetensors",
        "wsipsm/config/packaged/cluster/slurm.yaml",
    } <= names


def test_the_sdist_holds_what_the_wheel_is_built_of(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert sdist.name == f"wsipsm-{wsipsm.__version__}.tar.gz"
    assert SOURCES | {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "CITATION.cff"} <= names
    assert not [name for name in names if name.split("/")[0] in {"tests", "shared", "notebooks", "docs", "benchmarks"}]


def test_an_installed_wheel_works(installed: Path, tmp_path: Path) -> None:
    def output(*command: str) -> str:
        options: dict[str, Any] = {"cwd": tmp_path, "env": OUTSIDE, "capture_output": True, "text": True}
        done = subprocess.run([installed / "bin" / command[0], *command[1:]], timeout=120, **options)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    assert output("wsipsm", "--version").splitlines()[0] == f"wsipsm {wsipsm.__version__}"
    assert "  core_px: 1024\n" in output("wsipsm", "config", "show")
    assert "  voronoi_weight: 1.5\n" in output("wsipsm", "config", "show", "paper")
    where = "import wsipsm, importlib.metadata as m; print(wsipsm.__file__, m.version('wsipsm'))"
    file, version = output("python", "-c", where).split()
    assert installed in Path(file).parents
    assert version == wsipsm.__version__


def test_the_version_stands_in_one_place() -> None:
    written = re.compile(rf"\b{re.escape(wsipsm.__version__)}\b")
    files = [*MODULES, ROOT / "pyproject.toml", ROOT / "CITATION.cff", ROOT / "Containerfile"]

    assert [path for path in files if written.search(path.read_text())] == [ROOT / "wsipsm" / "__init__.py"]


def test_the_citation_has_the_fields_of_its_format() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (paper,) = citation["references"]

    assert {"authors", "cff-version", "message", "title"} <= citation.keys() <= CFF_KEYS
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    for entry in (citation, paper):
        for author in entry["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"})
    assert {"authors", "title", "type"} <= paper.keys()
    assert len(paper["authors"]) == 7
    assert {one["type"] for one in paper["identifiers"]} == {"doi"}


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_form_is_as_github_takes_it(name: str) -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())

    assert {"name", "description", "body"} <= form.keys() <= {"name", "description", "body", "labels", "title"}
    ids = [one["id"] for one in form["body"]]
    assert len(ids) == len(set(ids))
    for one in form["body"]:
        assert one["type"] in {"textarea", "input", "dropdown", "checkboxes", "markdown"}
        assert one.keys() <= {"type", "id", "attributes", "validations"}
        assert one["attributes"]["label"]
        assert ("options" in one["attributes"]) == (one["type"] == "dropdown")


def test_the_workflow_runs_what_developers_run() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["check"]
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())

    assert workflow[True].keys() == {"push", "pull_request"}, "YAML reads `on` as true"
    assert job["strategy"]["matrix"]["python"] == classifiers
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_that_is_read_can_run_code(path: Path) -> None:
    """Weights load as weights only, arrays without pickle, YAML without objects; see SECURITY.md."""
    unsafe = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "pickle.load", "joblib.load", "eval", "exec"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called, given = ast.unparse(node.func), {one.arg: ast.unparse(one.value) for one in node.keywords}
            assert called not in unsafe
            assert given.get("allow_pickle", "False") == "False", "as it is by default"
            if called == "torch.load":
                assert given.get("weights_only") == "True", f"line {node.lineno}"


def test_a_checkpoint_with_code_is_refused(tmp_path: Path) -> None:
    import pickle

    from wsipsm.core.errors import CheckpointError
    from wsipsm.nuclei.nets.checkpoint import load_checkpoint

    class Bad:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    file = tmp_path / "model.safetensors"
    file.write_bytes(pickle.dumps(Bad()))

    with pytest.raises(CheckpointError):
        load_checkpoint(file, kinds=("segmenter",))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "weights", sorted((ROOT / "wsipsm" / "nuclei" / "models").glob("*.safetensors")), ids=lambda file: file.name
)
def test_every_weight_has_a_card(weights: Path) -> None:
    card = (weights.parent / "MODEL_CARD.md").read_text()
    (text,) = [part for part in re.split(r"^# ", card, flags=re.MULTILINE) if part.startswith(f"`{weights.name}`")]

    for fact in ("licen", "wsipsm train", "seed", "not a medical device"):
        assert fact in text.lower(), fact
    for heading in ("## Data", "## Command", "## Scores", "## Limits"):
        assert heading in text, heading
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", text), "when it was made"

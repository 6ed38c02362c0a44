"""Documents: every command line and Python block runs, options and links exist, what is said of files is true.

A block that no test can run has a comment above it, ``<!-- skip: why -->``; its calls of wsipsm are still parsed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from PIL import Image

from benchmarks.pictures import MAX_KB, PICTURES
from tests.helpers.command import wsipsm
from tests.helpers.documents import (
    DOCUMENTS,
    ROOT,
    Block,
    anchors_of,
    blocks_of,
    commands_of,
    inline_code,
    lines_of,
    links_of,
    name_of,
    options_of_all_commands,
    prose_of,
    refusal,
    wsipsm_arguments,
)
from tests.helpers.slidegen import read_rgb, write_slide
from tests.test_layers import LAYERS
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

BEING_BUILT: tuple[str, ...] = ()
"""Commands and options that documents name and other branches bring; checked as soon as they are there."""
SERVERS = ("view",)
"""Commands that go on until they are stopped: parsed, not run."""
OF_OTHERS = {"--image", "--custom-segmentation-file", "--memory-limit", "--scheduler-file", "--nthreads", "--parts"}
"""Options of other programs."""
THREADS = ("schedule.workers=1", "schedule.processes=false")
QUICK_FIT = ("encoder.steps=5", "encoder.batch=4", "encoder.patches=24")
QUICK_TRAINING = (
    *("encoder.steps=2", "encoder.patches=8", "training.fields=2", "training.steps=2", "training.members=1"),
    *("training.rounds=1", "training.round_steps=2", "training.distil_steps=2"),
)

of_each = pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has: a slide and what was found on it, an archive, a manifest, regions, marks."""
    folder = tmp_path_factory.mktemp("reader")
    pixels = read_rgb(he_field())
    write_slide(folder / "slide.svs", pixels[:512, :512], mpp=HE_FIELD_MPP)
    for name, corner in (("a", 0), ("b", 560)):
        (folder / "archive").mkdir(exist_ok=True)
        write_slide(folder / "archive" / f"{name}.svs", pixels[corner : corner + 400, 400:800], mpp=HE_FIELD_MPP)
    Image.fromarray(pixels[:400, :400]).save(folder / "field.png")
    (folder / "slides.csv").write_text(f"slide,mpp\nfield.png,{HE_FIELD_MPP}\n")
    for name in ("annotations", "tumour"):
        write_squares(folder / f"{name}.geojson", [(60, 60, 400)])
    (folder / "truth").mkdir()
    for name in ("a", "b"):
        write_squares(folder / "truth" / f"{name}.geojson", [(40, 40, 30), (200, 80, 30), (300, 300, 30)])
    with contextlib.chdir(folder):
        done = wsipsm("run", "slide.svs", "archive/", "-o", "out", *settings(THREADS))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with limited_threads(1):
        yield


def write_squares(path: Path, squares: list[tuple[int, int, int]]) -> None:
    """Annotations (x, y, side) as QuPath exports them."""
    rings = [[[x, y], [x + s, y], [x + s, y + s], [x, y + s], [x, y]] for x, y, s in squares]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation"},
        }
        for ring in rings
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def settings(values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def stand_in(arguments: list[str]) -> list[str]:
    """Settings that make a command short: threads for processes, few steps of learning. Options stay as written."""
    if arguments[0] == "run":
        return settings(THREADS + (QUICK_FIT if "psm" in arguments else ()))
    return settings(QUICK_TRAINING) if arguments[0] in {"train", "pretrain", "pseudomask"} else []


def run_line(line: str) -> None:
    """A command line: calls of wsipsm alone in this process, others by a shell."""
    calls = wsipsm_arguments(line)
    if not calls or len(calls) < len(list(commands_of(line))) or ">" in line:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-ec", line], env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return
    for call in calls:
        if call[0] not in SERVERS and not is_being_built(call):
            called = wsipsm(*call, *stand_in(call))
            assert called.returncode == 0, f"{line}\n{called.stdout}{called.stderr}"


def is_being_built(arguments: list[str]) -> bool:
    """Whether a call needs what another branch brings, and is not here yet."""
    known = options_of_all_commands()
    missing = [
        name
        for name in BEING_BUILT
        if (name not in known if name[:1] == "-" else bool(refusal([name, "out"], complete=False)))
    ]
    return any(word in missing for word in arguments)


def run_python(block: Block, names: dict[str, Any]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(block.text, "a block of the document", "exec"), names)


@of_each
def test_its_command_lines_and_python_blocks_run(path: Path, work: Path, tmp_path: Path) -> None:
    blocks = [one for one in blocks_of(path) if not one.why]
    if not blocks:
        return
    folder = tmp_path / "reader"
    shutil.copytree(work, folder)
    if path.name == "README.md":
        shutil.rmtree(folder / "out")  # its reader begins with nothing
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for block in blocks:
            if block.kind == "python":
                run_python(block, names)
            for line in lines_of(block) if block.kind == "sh" else []:
                run_line(line)


@of_each
def test_its_blocks_name_their_language_and_python_is_python(path: Path) -> None:
    for block in blocks_of(path):
        assert block.kind in {"sh", "python"}, block.text
        if block.kind == "python":
            compile(block.text, name_of(path), "exec")


@of_each
def test_commands_and_options_that_it_names_exist(path: Path) -> None:
    known = options_of_all_commands() | OF_OTHERS
    for line in (line for block in blocks_of(path) if block.kind == "sh" for line in lines_of(block)):
        for call in wsipsm_arguments(line):
            assert is_being_built(call) or not refusal(call, complete=True), f"{line}: {refusal(call, complete=True)}"
    for code in inline_code(path):
        for call in wsipsm_arguments(code) if code.startswith("wsipsm ") else []:
            assert is_being_built(call) or not refusal(call, complete=False), f"{code}: {refusal(call, complete=False)}"
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code) if code.startswith(("wsipsm ", "--")) else []:
            assert option in known or is_being_built([option]), f"{code}: no such option"


def generated() -> ModuleType:
    """The hook of MkDocs that makes pages from the code."""
    spec = importlib.util.spec_from_file_location("generated", ROOT / "docs" / "generated.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@of_each
def test_its_links_resolve(path: Path) -> None:
    made = {(ROOT / "docs" / name).resolve() for name in generated().PAGES}
    for link in links_of(path):
        if link.startswith(("http:", "https:")):
            assert re.fullmatch(r"https://[\w.-]+\.\w+(/[^\s]*)?", link), link
            continue
        file, _, anchor = link.partition("#")
        target = path if not file else (path.parent / file)
        assert target.exists() or target.resolve() in made, f"{name_of(path)}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{name_of(path)}: {link}"


@of_each
def test_files_of_the_repository_that_it_names_exist(path: Path) -> None:
    made = {"notebooks/out"}
    rooms = "wsipsm/|docs/|tests/|benchmarks/|notebooks/|requirements|pyproject|Makefile"
    for code in inline_code(path):
        if re.fullmatch(rf"(?:{rooms})[\w./-]*", code):
            assert code in made or (ROOT / code).exists(), f"{name_of(path)}: {code}"
        if benchmark := re.match(r"python -m (benchmarks\.\w+)", code):
            source = (ROOT / benchmark[1].replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
            assert all(f'"{option}"' in source for option in re.findall(r"--[a-z-]+", code)), code


def test_contributing_has_ten_lines_for_each_and_the_layers_of_the_test() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    for title in ("A reader of slides", "A stain", "A class rule", "A loss", "An export"):
        section = text.split(f"## {title}\n")[1].split("\n## ")[0]
        assert re.findall(r"^(\d+)\. ", section, re.M) == [str(number) for number in range(1, 11)], title
    rows = re.findall(r"^\| \d \| ([^|]*) \|", text, re.M)
    rooms = [set(re.findall(r"wsipsm/(\w+)", row)) for row in rows]
    assert rooms == [set(row) - {"__init__"} for row in LAYERS]


def test_figures_of_the_readme_stand_in_the_tables_of_the_documents() -> None:
    tables = "".join(
        (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("accuracy", "ihc", "archives")
    )

    figures = re.findall(r"(?<![\d.])\.\d{3}|\d{1,3}(?: \d{3})+", prose_of(ROOT / "README.md"))

    assert len(figures) > 20
    for figure in figures:
        assert figure in tables or figure.replace(" ", "") in tables, figure


def test_pictures_are_those_that_a_command_makes_small_and_shown() -> None:
    files = {file.stem: file for file in (ROOT / "docs" / "pictures").iterdir()}
    shown = {Path(link).stem for path in DOCUMENTS for link in links_of(path)}

    assert set(files) == set(PICTURES)
    assert set(files) <= shown
    for file in files.values():
        assert file.stat().st_size <= MAX_KB * 1000, file
        with Image.open(file) as picture:
            assert picture.width >= 800


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.removeprefix("docs/") for page in map(name_of, DOCUMENTS) if page.startswith("docs/")}

    listed = set(re.findall(r"([\w/.-]+\.md)$", text, re.M))

    assert pages - listed == set()
    assert listed - pages == {"notebooks/README.md", *generated().PAGES}


def test_generated_pages_hold_every_command_option_and_key() -> None:
    module = generated()
    commands, keys = module.command_line(), module.keys()

    for option in options_of_all_commands() - {"--help", "--version"}:
        assert f"`{option}`" in commands, option
    for section, table in yaml.safe_load(wsipsm("config", "show").stdout).items():
        text = keys.split(f"\n## {section}\n")[1].split("\n## ")[0]
        for key, value in table.items():
            shown = value if isinstance(value, str) else json.dumps(value)
            assert f"| `{key}` | `{shown}` |" in text, (section, key)


def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]

    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=300
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pages = list(site.rglob("*.html"))
    assert {"index.html", "command-line.html", "04_evaluate.html"} <= {page.name for page in pages}
    for page in pages:
        loaded = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?(https?:[^\"'\s>]+)", page.read_text()
        )
        assert not [url for url in loaded if "example" not in url], page

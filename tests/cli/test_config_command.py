"""``wsipsm config`` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.helpers.command import Done, wsipsm
from wsipsm.config import load_config, packaged_configs


def config(*arguments: str) -> Done:
    return wsipsm("config", *arguments)


def test_what_show_prints_is_a_file_for_a_run(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"

    mine.write_text(config("show", "--set", "grid.mpp=0.25").stdout)

    assert load_config(str(mine)) == load_config("he", ("grid.mpp=0.25",))
    assert config("show", str(mine)).stdout.partition("\n")[2] == mine.read_text().partition("\n")[2]


def test_show_knows_the_settings_of_the_paper() -> None:
    assert "  voronoi_weight: 2.5\n" in config("show", "paper", "--set", "segmenter.voronoi_weight=2.5").stdout


def test_check_lists_all_that_is_wrong(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("tiles: {core_px: 512}\n")
    good = config("check", str(mine))
    mine.write_text("tiles: {core_pxx: 512}\nsegmenter: {far_scale: 0.5}\ngrid: {mpp: 0}\n")
    bad = config("check", str(mine))
    missing = config("check", str(tmp_path / "none.yaml"))

    assert (good.returncode, good.stdout) == (0, f"{mine}: OK\n")
    assert (bad.returncode, bad.stdout.splitlines()) == (
        1,
        [
            f"{mine}: unknown key tiles.core_pxx, did you mean 'core_px'?",
            f"{mine}: segmenter.far_scale is called training.zoom_out_scale now",
            f"{mine}: grid.mpp: Input should be greater than or equal to 0.05 (got 0)",
        ],
    )
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.endswith("none.yaml: cannot be read: No such file or directory\n")


def test_a_configuration_of_the_paper_is_checked_as_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(config("show", "paper").stdout)
    good, shown = config("check", str(mine)), config("show", str(mine))
    mine.write_text("segmenter: {voronoi_weight: 2, epochz: 1}\n")
    bad = config("check", str(mine))

    assert (good.returncode, good.stdout) == (0, f"{mine}: OK\n")
    assert "  voronoi_weight: 1.5\n" in shown.stdout
    assert (bad.returncode, bad.stdout) == (1, f"{mine}: unknown key segmenter.epochz, did you mean 'epochs'?\n")


def test_list_names_what_comes_with_wsipsm() -> None:
    lines = config("list").stdout.splitlines()

    assert [line.split()[0] for line in lines] == list(packaged_configs())
    assert all(len(line.split()) > 3 for line in lines)


def test_the_commands_start_without_torch() -> None:
    script = (
        "import sys; from wsipsm.cli.config import check, show; show('he'); show('paper'); check('he'); "
        "sys.exit('torch' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, stdout=subprocess.DEVNULL)


def test_diff_names_keys_with_both_values(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("grid: {mpp: 0.25}\nclasses: {grades_od: [0.3, 0.6]}\n")

    one, two, same = config("diff", str(mine)), config("diff", str(mine), "he"), config("diff", str(mine), str(mine))

    assert one.stdout == "grid.mpp: 0.5 -> 0.25\nclasses.grades_od: [0.4,0.6] -> [0.3,0.6]\n"
    assert two.stdout == "grid.mpp: 0.25 -> 0.5\nclasses.grades_od: [0.3,0.6] -> [0.4,0.6]\n"
    assert same.stdout == f"{mine} and {mine}: the same\n"


def test_diff_reads_the_record_of_a_run_of_an_earlier_version(tmp_path: Path) -> None:
    recorded = load_config("he").model_dump(mode="json")
    recorded["tiles"]["core_px"] = 512
    recorded["labels"] |= {"split": "depth"}  # as h_maxima was called
    record = tmp_path / "run.json"
    record.write_text(json.dumps({"config": recorded}))

    assert config("diff", str(record), "he").stdout == "tiles.core_px: 512 -> 1024\n"
    assert config("diff", str(tmp_path), "he").stdout == "tiles.core_px: 512 -> 1024\n"
    record.write_text("[]")
    refused = config("diff", str(record), "he")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "expected the record of a run" in refused.stderr


def test_list_says_what_each_is_for() -> None:
    he, ihc, paper = config("list").stdout.splitlines()

    assert he.startswith("he      H&E slides")
    assert ihc.startswith("ihc     Nuclear immunohistochemistry")
    assert paper.startswith("paper   The method of Chen et al., MICCAI 2023")

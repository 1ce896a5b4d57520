import subprocess
from pathlib import Path

import pytest
from edge_emotion.edge_runtime import doctor_software
from edge_emotion.edge_runtime.board import LinuxSystem
from edge_emotion.edge_runtime.doctor_check import Installation
from edge_emotion.edge_runtime.machine import cache_dir, python, usable_cores


@pytest.fixture
def stray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with scripts that have the names of modules."""
    monkeypatch.chdir(tmp_path)
    for name in ("random", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('stray')\n")


@pytest.mark.usefixtures("stray")
def test_a_child_imports_nothing_from_the_working_directory() -> None:
    done = subprocess.run([*python(), "-c", "import json, random"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("stray")
def test_doctor_finds_nothing_wrong_beside_stray_scripts() -> None:
    assert [f.status for f in doctor_software.check_opencv(LinuxSystem(), Installation.current())][-1] == "ok"


def test_cores_that_this_process_may_not_use_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3, 5}, raising=False)
    assert usable_cores() == 2


def test_the_cache_lies_where_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_EMOTION_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.delenv("EDGE_EMOTION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "edge-emotion"

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from edge_emotion.edge_runtime.provenance import git_revision, package_versions, tool_versions


def test_versions_are_of_what_is_installed() -> None:
    assert package_versions(["numpy", "no-such-distribution"]) == {"numpy": version("numpy")}
    assert package_versions([]) == {}
    assert tool_versions()["edge-emotion"] == version("edge-emotion")


def test_the_revision_is_the_working_directorys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_revision() is None  # outside a repository
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() is None  # without git
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    try:
        subprocess.run([*git, "init", "-q"], check=True)
    except OSError:
        pytest.skip("git is not installed")
    assert git_revision() is None  # no commit yet
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    log = subprocess.run(["git", "log", "--format=%H"], capture_output=True, text=True, check=True)
    assert git_revision() == log.stdout.strip()
